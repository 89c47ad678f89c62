//! Who asks, and whom: a server with organizations, users and tokens of every kind.

use crate::support::World;
use crate::support::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use torso::control::accounts::MemberRole;
use torso::control::endpoints::{ApiEndpoint, Operation};
use torso::control::hosted::permission::{Rights, Scopes};

/// Somebody with a token.
pub struct Bearer {
    pub name: String,
    pub token: String,
    pub user: &'static str,
    /// The organizations that the user is in, by role.
    pub roles: Vec<(&'static str, MemberRole)>,
    pub scopes: Scopes,
    /// The only organization, and the only group there, that the token opens.
    pub only: Option<&'static str>,
    pub group: bool,
    /// Nobody's token, or one that is no more.
    pub valid: bool,
}

impl Bearer {
    pub fn rights(&self, organization: &str) -> Option<Rights> {
        let (_, role) = self.roles.iter().find(|(slug, _)| *slug == organization)?;
        if self.only.is_some_and(|only| only != organization) {
            return None;
        }
        Some(Rights {
            role: *role,
            scopes: self.scopes.clone(),
            group: self.group.then(|| "default".parse().unwrap()),
        })
    }

    pub fn is_limited(&self) -> bool {
        self.only.is_some() || self.scopes != Scopes::Everything
    }
}

/// A server with organizations, of which `team` is the one to be protected.
pub struct Realm {
    pub server: Server,
    pub client: reqwest::blocking::Client,
    pub bearers: Vec<Bearer>,
    /// What stands for parameters in paths, of things that are there.
    pub known: BTreeMap<&'static str, String>,
    /// Texts that nobody outside the team may ever see.
    pub hidden: Vec<String>,
    pub eve: String,
    _world: World,
}

const ALL_SCOPES: [&str; 9] = [
    "read",
    "db:create",
    "db:delete",
    "db:configure",
    "db:mint-token",
    "db:rotate-creds",
    "group:configure",
    "group:mint-token",
    "group:rotate-creds",
];

impl Realm {
    pub fn new() -> Self {
        let world = World::new();
        let options = ["--owner", "alice", "--locations", "ams,lhr", "--rate-limit", "0"];
        let server = Server::start(&world, &options);
        for team in ["team", "rival"] {
            server.ok("POST", "/v1/organizations", Some(json!({ "name": team })));
        }
        let invite = |slug: &str, name: &str, role: &str| {
            let new = json!({ "email": format!("{name}@example.com"), "role": role });
            let invited = server.ok("POST", &format!("/v1/organizations/{slug}/invites"), Some(new));
            let accept = json!({ "invitation": invited["invited"]["link"], "username": name });
            let accepted = server.ok("POST", "/v1/invitations/accept", Some(accept));
            accepted["token"].as_str().unwrap().to_owned()
        };
        let (admin, member) = (invite("team", "ann", "admin"), invite("team", "max", "member"));
        let (viewer, eve) = (invite("team", "vic", "viewer"), invite("rival", "eve", "owner"));
        invite("team", "victim", "member");
        server.ok("DELETE", "/v1/organizations/rival/members/alice", None);
        let team = |path: &str| format!("/v1/organizations/team{path}");
        let post = |path: &str, body: Value| server.ok("POST", &team(path), Some(body));
        let app = post("/databases", json!({ "name": "app", "group": "default" }))["database"].clone();
        let of_database = post("/databases/app/auth/tokens", json!({}));
        let of_group = post("/groups/default/auth/tokens", json!({}));
        let upload = post("/uploads", json!({ "size": 10 }))["upload"].clone();
        post("/invites", json!({ "email": "invited@example.com", "role": "member" }));
        let group = server.ok("GET", &team("/groups/default"), None)["group"].clone();
        let organization = server.ok("GET", &team(""), None)["organization"].clone();

        let mint = |name: &str, body: Value| {
            let made = server.ok("POST", &format!("/v1/auth/api-tokens/{name}"), Some(body));
            (made["token"].as_str().unwrap().to_owned(), made["id"].clone())
        };
        let (_, decoy) = mint("decoy", json!({ "organization": "team" }));
        let owner = vec![("team", MemberRole::Owner), ("alice", MemberRole::Owner)];
        let bearer = |name: &str, token: String, user, roles| Bearer {
            name: name.to_owned(),
            token,
            user,
            roles,
            scopes: Scopes::Everything,
            only: None,
            group: false,
            valid: true,
        };
        let limited = |name: &str, only, group: bool, scopes: &[&str]| {
            let mut body = json!({ "organization": only });
            if !scopes.is_empty() {
                body["scopes"] = json!(scopes);
            }
            if group {
                body["group"] = json!("default");
            }
            let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            Bearer {
                scopes: Scopes::parse(&scopes).unwrap(),
                only: Some(only),
                group,
                ..bearer(name, mint(name, body).0, "alice", owner.clone())
            }
        };
        let dead = |name: &str, token: &str| Bearer {
            valid: false,
            ..bearer(name, token.to_owned(), "alice", owner.clone())
        };
        let with = |role, own| vec![("team", role), (own, MemberRole::Owner)];
        let mut bearers = vec![
            bearer("owner", server.token.clone(), "alice", owner.clone()),
            bearer("admin", admin, "ann", with(MemberRole::Admin, "ann")),
            bearer("member", member, "max", with(MemberRole::Member, "max")),
            bearer("viewer", viewer, "vic", with(MemberRole::Viewer, "vic")),
            bearer(
                "foreign",
                eve.clone(),
                "eve",
                vec![("rival", MemberRole::Owner), ("eve", MemberRole::Owner)],
            ),
            limited("team-only", "team", false, &[]),
            limited("elsewhere", "alice", false, &[]),
            limited("group", "team", true, &[]),
            limited("read-only", "team", false, &["read-only"]),
            limited("everything-but-full", "team", false, &ALL_SCOPES),
        ];
        for scope in ALL_SCOPES {
            bearers.push(limited(&scope.replace(':', "-"), "team", false, &[scope]));
        }
        let revoked = mint("revoked", json!({})).0;
        server.ok("DELETE", "/v1/auth/api-tokens/revoked", None);
        let expired = mint("expired", json!({ "expiration": "1s" })).0;
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        bearers.extend([
            dead("revoked", &revoked),
            dead("expired", &expired),
            dead("nobody", "torso_0000000000000000000000000000000000000000000"),
            dead("a database's", of_database["jwt"].as_str().unwrap()),
            dead("none", ""),
        ]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let known = BTreeMap::from([
            ("organizationSlug", "team".to_owned()),
            ("organizationId", text(&organization["id"])),
            ("databaseName", "app".to_owned()),
            ("databaseId", text(&app["DbId"])),
            ("groupName", "default".to_owned()),
            ("groupId", text(&group["uuid"])),
            ("instanceName", "ams".to_owned()),
            ("location", "ams".to_owned()),
            ("username", "victim".to_owned()),
            ("email", "invited@example.com".to_owned()),
            ("tokenName", "first".to_owned()),
            ("issuerName", "other".to_owned()),
            ("uploadId", text(&upload["id"])),
        ]);
        let hidden = [
            &app["DbId"],
            &group["uuid"],
            &of_database["id"],
            &of_group["id"],
            &upload["id"],
            &decoy,
        ];
        let mut hidden: Vec<String> = hidden.into_iter().map(text).collect();
        hidden.extend(["invited@example.com".to_owned(), "victim".to_owned()]);
        let mut realm = Self {
            client: Server::client(),
            server,
            bearers,
            known,
            hidden,
            eve,
            _world: world,
        };
        // Which token depends on the route.
        for (key, id) in [
            ("database token", &of_database["id"]),
            ("group token", &of_group["id"]),
            ("api token", &decoy),
        ] {
            realm.known.insert(key, text(id));
        }
        realm
    }

    pub fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, String) {
        let url = format!("{}{path}", self.server.url().trim_end_matches('/'));
        let mut request = self.client.request(method.parse().unwrap(), url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if method != "GET" {
            request = request.body(body.to_string());
        }
        let response = request.send().unwrap();
        let status = response.status().as_u16();
        (status, String::from_utf8_lossy(&response.bytes().unwrap()).into_owned())
    }

    /// A path to something that is there, or to nothing.
    pub fn path(&self, endpoint: &ApiEndpoint, template: &str, there: bool) -> String {
        let parts = template.split('/').map(|part| {
            let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
                return part;
            };
            let key = match (name, endpoint.operation) {
                ("tokenId", Operation::RevokeOrganizationToken) => "api token",
                ("tokenId", Operation::RevokeGroupToken) => "group token",
                ("tokenId", _) => "database token",
                _ => name,
            };
            if there || name.starts_with("organization") {
                self.known[key].as_str()
            } else {
                "nothing"
            }
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// All that can be seen of the organizations by who may see it all, but for what only tells of the asking.
    pub fn state(&self) -> Vec<(String, Value)> {
        let mut seen = Vec::new();
        let mut look = |token: &str, path: String| {
            let (status, text) = self.ask(token, "GET", &path, &Value::Null);
            assert_eq!(status, 200, "{path}: {text}");
            let mut value: Value = serde_json::from_str(&text).unwrap();
            for token in value
                .get_mut("tokens")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                token.as_object_mut().unwrap().remove("last_used_at");
            }
            seen.push((path, value));
        };
        for (slug, token) in [
            ("team", &self.server.token),
            ("alice", &self.server.token),
            ("rival", &self.eve),
            ("eve", &self.eve),
        ] {
            for path in [
                "",
                "/databases",
                "/groups",
                "/members",
                "/invites",
                "/api-tokens",
                "/groups/default/auth/tokens",
                "/groups/default/configuration",
            ] {
                look(token, format!("/v1/organizations/{slug}{path}"));
            }
        }
        for path in ["", "/configuration", "/instances", "/auth/tokens"] {
            look(
                &self.server.token,
                format!("/v1/organizations/team/databases/app{path}"),
            );
        }
        for token in [&self.server.token, &self.eve] {
            look(token, "/v1/auth/api-tokens".to_owned());
            look(token, "/v1/organizations".to_owned());
        }
        look(
            &self.server.token,
            format!("/v1/organizations/team/uploads/{}", self.known["uploadId"]),
        );
        seen
    }
}
