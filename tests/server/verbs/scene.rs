//! A server with an organization, users of every role and tokens of every scope; what can be seen of it, and how it becomes what
//! it was.

use crate::support::server::Server;
use crate::support::{Run, World};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use torso::commands::permissions::Permission;
use torso::control::accounts::MemberRole;
use torso::control::hosted::permission::{Rights, Scope, Scopes};

/// Somebody with an API token.
pub struct Bearer {
    pub name: String,
    token: String,
    pub user: &'static str,
    /// In the organization `team`.
    pub rights: Rights,
}

impl Bearer {
    pub fn is_limited(&self) -> bool {
        self.rights.scopes != Scopes::Everything
    }
}

/// What was answered at each path.
pub type State = Vec<(String, Value)>;

pub struct Scene {
    server: Server,
    world: World,
    client: reqwest::blocking::Client,
    pub bearers: Vec<Bearer>,
    tokens_of_users: BTreeMap<&'static str, String>,
    /// What stands for words of command lines.
    known: RefCell<BTreeMap<&'static str, String>>,
    exact: RefCell<BTreeMap<Vec<String>, String>>,
}

const TEAM: &str = "/v1/organizations/team";
const ROLES: [(&str, MemberRole); 3] = [
    ("ann", MemberRole::Admin),
    ("max", MemberRole::Member),
    ("vic", MemberRole::Viewer),
];

impl Scene {
    pub fn new() -> Self {
        let mut world = World::new();
        let options = [
            "--owner",
            "alice",
            "--locations",
            "ams,lhr",
            "--rate-limit",
            "0",
            "--backup-to",
            "backups",
        ];
        let server = Server::start(&world, &options);
        server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
        server.ok("POST", "/v1/organizations", Some(json!({ "name": "outside" })));
        world.set("TORSO_API_URL", server.url());
        world.set("TORSO_ORG", "team");
        world.set("TORSO_TOKEN", &server.token);
        world.write("seed.csv", "a,b\n1,2\n");
        world.write("made.toml", "[databases.made]\n");
        std::fs::create_dir(world.work().join("migrations")).unwrap();
        world.write("migrations/1_row.sql", "insert into t values (7);\n");
        let seed = rusqlite::Connection::open(world.work().join("seed.db")).unwrap();
        seed.execute_batch("create table s (x); insert into s values (1)")
            .unwrap();
        let invite = |slug: &str, name: &str, role: MemberRole| {
            let new = json!({ "email": format!("{name}@example.com"), "role": role });
            let invited = server.ok("POST", &format!("/v1/organizations/{slug}/invites"), Some(new));
            let accept = json!({ "invitation": invited["invited"]["link"], "username": name });
            let accepted = server.ok("POST", "/v1/invitations/accept", Some(accept));
            accepted["token"].as_str().unwrap().to_owned()
        };
        let mut tokens = BTreeMap::from([("alice", server.token.clone())]);
        for (name, role) in ROLES {
            tokens.insert(name, invite("team", name, role));
        }
        invite("team", "victim", MemberRole::Member);
        invite("outside", "guest", MemberRole::Member);
        let rights = |role, scopes| Rights {
            role,
            scopes,
            group: None,
        };
        let mut scene = Self {
            client: Server::client(),
            bearers: vec![Bearer {
                name: "owner".to_owned(),
                token: server.token.clone(),
                user: "alice",
                rights: rights(MemberRole::Owner, Scopes::Everything),
            }],
            tokens_of_users: tokens.clone(),
            server,
            world,
            known: RefCell::default(),
            exact: RefCell::default(),
        };
        for (user, role) in ROLES {
            scene.bearers.push(Bearer {
                name: role.to_string(),
                token: tokens[user].clone(),
                user,
                rights: rights(role, Scopes::Everything),
            });
        }
        for scope in Scope::ALL {
            let bearer = scene.scoped(&[scope.to_string()]);
            scene.bearers.push(bearer);
        }
        scene.reset();
        scene
    }

    /// A token of the owner's with these scopes.
    fn scoped(&self, scopes: &[String]) -> Bearer {
        let token = self.exact.borrow().get(scopes).cloned();
        let token = token.unwrap_or_else(|| {
            let name = scopes.join("-").replace(':', "-");
            let body = json!({ "organization": "team", "scopes": scopes });
            let minted = self
                .server
                .ok("POST", &format!("/v1/auth/api-tokens/{name}"), Some(body));
            let token = minted["token"].as_str().unwrap().to_owned();
            self.exact.borrow_mut().insert(scopes.to_vec(), token.clone());
            token
        });
        Bearer {
            name: scopes.join(" and "),
            token,
            user: "alice",
            rights: Rights {
                role: MemberRole::Owner,
                scopes: Scopes::parse(scopes).unwrap(),
                group: None,
            },
        }
    }

    /// A token with all the scopes that a row names and no other, if there is more than one.
    pub fn bearer_with_exactly(&self, needed: Permission) -> Option<Bearer> {
        let Permission::Actions(actions) = needed else {
            return None;
        };
        let scopes: Option<Vec<_>> = actions.iter().map(|action| action.scopes()).collect();
        let mut names: Vec<String> = scopes?.concat().iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        (names.len() > 1).then(|| self.scoped(&names))
    }

    /// Runs a command as somebody.
    pub fn run(&self, bearer: &Bearer, args: &[&str]) -> Run {
        let known = self.known.borrow();
        let word = |arg: &&str| match *arg {
            "{me}" => bearer.user.to_owned(),
            word => known.get(word).cloned().unwrap_or_else(|| word.to_owned()),
        };
        let mut command = self.world.torso_command(args.iter().map(word));
        command.env("TORSO_TOKEN", &bearer.token);
        Run::of(command)
    }

    fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.server.url().trim_end_matches('/'));
        let request = self.client.request(method.parse().unwrap(), url).bearer_auth(token);
        let answer = request.body(body.to_string()).send().unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().unwrap_or_default())
    }

    fn owner(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask(&self.server.token, method, path, body)
    }

    fn get(&self, token: &str, path: &str) -> Value {
        let (status, mut value) = self.ask(token, "GET", path, &Value::Null);
        assert!(status == 200 || status == 404, "{path}: {value}");
        for token in value
            .get_mut("tokens")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            token.as_object_mut().unwrap().remove("last_used_at");
        }
        // All else is measured, and changes by itself.
        for instance in value
            .get_mut("instances")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let lasting = ["uuid", "name", "type", "region", "hostname", "url"];
            instance
                .as_object_mut()
                .unwrap()
                .retain(|key, _| lasting.contains(&key.as_str()));
        }
        for database in value
            .get_mut("databases")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            database.as_object_mut().unwrap().remove("size_bytes");
        }
        value
    }

    /// All that the owner sees of the organization, and users of their own; with `content`, also the rows of its database.
    pub fn state(&self, content: bool) -> State {
        let team = [
            "",
            "/databases",
            "/databases/app/configuration",
            "/databases/app/instances",
            "/databases/app/auth/tokens",
            "/databases/twig/auth/tokens",
            "/groups",
            "/groups/default/auth/tokens",
            "/groups/apart/auth/tokens",
            "/groups/apart/configuration",
            "/members",
            "/invites",
        ];
        let team = team.iter().map(|path| format!("{TEAM}{path}"));
        let mut state: State = team
            .chain(["quotas", "configuration", "backup-schedules"].map(|path| format!("/v1/server/{path}")))
            .map(|path| {
                let mut value = self.get(&self.server.token, &path);
                // Backups are made by themselves.
                for schedule in value["schedules"].as_array_mut().into_iter().flatten() {
                    schedule["last_backup_at"].take();
                }
                (path, value)
            })
            .collect();
        for token in self.tokens_of_users.values() {
            for path in ["/v1/auth/api-tokens", "/v1/organizations"] {
                state.push((path.to_owned(), self.get(token, path)));
            }
        }
        if content {
            state.push(("content".to_owned(), json!(self.content())));
        }
        state
    }

    /// The same with the rows, without the tokens that commands make for themselves to read a database.
    pub fn lasting_state(&self) -> State {
        let mut state = self.state(true);
        for tokens in state
            .iter_mut()
            .filter_map(|(_, value)| value.get_mut("tokens")?.as_array_mut())
        {
            tokens.retain(|token| token["name"] != "torso");
        }
        state
    }

    /// The tables of the database, and how many rows each has.
    fn content(&self) -> Vec<(String, i64)> {
        let url = format!("{}v1/organizations/team/databases/app/export", self.server.url());
        let copy = self.client.get(url).bearer_auth(&self.server.token).send().unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&copy.bytes().unwrap()).unwrap();
        let copy = rusqlite::Connection::open(file.path()).unwrap();
        let mut tables = copy
            .prepare("select name from sqlite_schema where type = 'table' order by name")
            .unwrap();
        let names = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
        names
            .map(|name| {
                let name = name.unwrap();
                let count = copy.query_row(&format!("select count(*) from \"{name}\""), [], |row| row.get(0));
                (name, count.unwrap())
            })
            .collect()
    }

    /// Makes it what it was at first, but for ids.
    pub fn reset(&self) {
        let quiet = |method: &str, path: String, body: Value| self.owner(method, &path, &body);
        let made = |method: &str, path: String, body: Value| {
            let (status, answer) = self.owner(method, &path, &body);
            assert_eq!(status, 200, "{method} {path}: {answer}");
            answer
        };
        // What was moved away.
        for (user, token) in &self.tokens_of_users {
            let home = format!("/v1/organizations/{user}");
            self.ask(token, "DELETE", &format!("{home}/databases/app"), &Value::Null);
            self.ask(token, "DELETE", &format!("{home}/groups/apart"), &Value::Null);
        }
        let protection = json!({ "delete_protection": false });
        for group in ["default", "apart", "renamed"] {
            quiet(
                "PATCH",
                format!("{TEAM}/groups/{group}/configuration"),
                protection.clone(),
            );
        }
        let settings =
            json!({ "delete_protection": false, "block_writes": false, "block_reads": false, "size_limit": "0" });
        quiet("PATCH", format!("{TEAM}/databases/app/configuration"), settings);
        quiet("DELETE", format!("{TEAM}/groups/made"), Value::Null);
        quiet("DELETE", format!("{TEAM}/groups/renamed"), Value::Null);
        let there: Vec<String> = self.names("/databases", "Name");
        for name in there
            .iter()
            .filter(|name| !["app", "other", "twig"].contains(&name.as_str()))
        {
            made("DELETE", format!("{TEAM}/databases/{name}"), Value::Null);
        }
        for (group, location) in [("default", "ams"), ("apart", "ams"), ("wide", "ams")] {
            if !self.names("/groups", "name").iter().any(|name| name == group) {
                made(
                    "POST",
                    format!("{TEAM}/groups"),
                    json!({ "name": group, "location": location }),
                );
            }
        }
        made(
            "PATCH",
            format!("{TEAM}/groups/apart/configuration"),
            json!({ "isolation": "group" }),
        );
        quiet("DELETE", format!("{TEAM}/groups/apart/locations/lhr"), Value::Null);
        quiet("POST", format!("{TEAM}/groups/wide/locations/ams/promote"), Value::Null);
        made("POST", format!("{TEAM}/groups/wide/locations/lhr"), Value::Null);
        for name in ["app", "other"] {
            if !there.iter().any(|there| there == name) {
                made(
                    "POST",
                    format!("{TEAM}/databases"),
                    json!({ "name": name, "group": "default" }),
                );
                let sql = "create table t (x); insert into t values (1)";
                self.world.ok(["db", "shell", name, sql]);
            }
        }
        if !there.iter().any(|there| there == "twig") {
            let seed = json!({ "type": "database", "name": "app" });
            let end = "2026-01-01T00:00:00Z";
            made(
                "POST",
                format!("{TEAM}/databases/expiring"),
                json!({ "name": "twig", "group": "default", "seed": seed, "expires_at": end }),
            );
        }
        quiet(
            "POST",
            format!("{TEAM}/databases/app/instances/ams/promote"),
            Value::Null,
        );
        made(
            "POST",
            format!("{TEAM}/databases/app/instances"),
            json!({ "location": "lhr" }),
        );
        quiet("DELETE", format!("{TEAM}/databases/other/instances/lhr"), Value::Null);
        quiet("DELETE", format!("{TEAM}/members/guest"), Value::Null);
        quiet(
            "POST",
            format!("{TEAM}/members"),
            json!({ "username": "victim", "role": "member" }),
        );
        quiet("PATCH", format!("{TEAM}/members/victim"), json!({ "role": "member" }));
        quiet("DELETE", format!("{TEAM}/invites/made@example.com"), Value::Null);
        quiet(
            "POST",
            format!("{TEAM}/invites"),
            json!({ "email": "invited@example.com", "role": "member" }),
        );
        for token in self.tokens_of_users.values() {
            self.ask(token, "DELETE", "/v1/auth/api-tokens/made", &Value::Null);
            self.ask(token, "DELETE", "/v1/organizations/made", &Value::Null);
            self.ask(token, "POST", "/v1/auth/api-tokens/spare", &json!({}));
        }
        quiet(
            "PUT",
            "/v1/server/quotas".to_owned(),
            json!({ "name": "databases", "value": 0 }),
        );
        let locations = json!({ "locations": ["ams", "lhr"] });
        quiet("PATCH", "/v1/server/configuration".to_owned(), locations);
        let schedule = json!({ "every_seconds": 86_400, "keep": "7d,4w,12m" });
        quiet("PUT", "/v1/server/backup-schedules".to_owned(), schedule);
        let of_group = json!({ "organization": "team", "group": "apart", "every_seconds": 86_400, "keep": "7d" });
        quiet("PUT", "/v1/server/backup-schedules".to_owned(), of_group);
        let text = |answer: Value| answer["id"].as_str().unwrap().to_owned();
        let mut known = self.known.borrow_mut();
        known.insert(
            "{database token}",
            text(made("POST", format!("{TEAM}/databases/app/auth/tokens"), Value::Null)),
        );
        known.insert(
            "{group token}",
            text(made("POST", format!("{TEAM}/groups/apart/auth/tokens"), Value::Null)),
        );
    }

    fn names(&self, path: &str, key: &str) -> Vec<String> {
        let list = self.get(&self.server.token, &format!("{TEAM}{path}"));
        let items = list[path.trim_start_matches('/')].as_array().unwrap();
        items
            .iter()
            .map(|item| item[key].as_str().unwrap().to_owned())
            .collect()
    }
}
