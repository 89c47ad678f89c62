//! A command line for each row of the table, with what it does when it may.

/// A command line.
pub struct Case {
    /// The row of the table that it belongs to.
    pub row: &'static str,
    /// `{me}` stands for the user's own organization.
    pub args: &'static [&'static str],
    /// Whether something has changed afterwards that the owner can see.
    pub changes: bool,
    /// Whether rows count as something that changes.
    pub content: bool,
    /// The exit code when it may.
    pub done: i32,
    /// Another exit code than 4 of whoever is refused: of the shell, SQLite's own for what is read-only; 0 and 5 where what is
    /// there already answers before any permission.
    pub refused: Option<i32>,
    /// Whether it would take away what the others need.
    pub only_refused: bool,
}

const fn reads(row: &'static str, args: &'static [&'static str]) -> Case {
    Case {
        row,
        args,
        changes: false,
        content: false,
        done: 0,
        refused: None,
        only_refused: false,
    }
}

const fn changes(row: &'static str, args: &'static [&'static str]) -> Case {
    Case {
        changes: true,
        ..reads(row, args)
    }
}

/// Rows that are not run: what a server cannot do, what only concerns this machine's settings, `run`, which does several
/// operations in turn, and `api`, which sends whatever it is given.
pub const NOT_RUN: &[&str] = &[
    // They need a backup, whose id cannot be known here: `backup::server` runs them.
    "db restore",
    "db restore --as",
    "location add",
    "location remove",
    // It does several operations in turn, whose rows are run.
    "location drain",
    "auth login",
    "org switch",
    "run",
    "api",
];

pub const CASES: &[Case] = &[
    changes("db create", &["db", "create", "made"]),
    changes("db create", &["db", "create", "made", "--group", "default"]),
    changes(
        "db create",
        &["db", "create", "made", "--group", "default", "--location", "ams"],
    ),
    changes(
        "db create",
        &["db", "create", "made", "--location", "lhr", "--if-not-exists"],
    ),
    changes("db create", &["db", "create"]),
    Case {
        refused: Some(0),
        ..reads("db create", &["db", "create", "app", "--if-not-exists"])
    },
    changes(
        "db create --from-file",
        &["db", "create", "made", "--from-file", "seed.db"],
    ),
    changes("db create --from-db", &["db", "create", "made", "--from-db", "app"]),
    reads("db list", &["db", "list"]),
    reads("db show", &["db", "show", "app"]),
    changes("db env", &["db", "env", "app"]),
    changes("db env --read-only", &["db", "env", "app", "--read-only"]),
    changes("run --db", &["run", "--db", "app", "--", "true"]),
    changes("env pull", &["env", "pull", "--db", "app"]),
    reads("link", &["link", "app"]),
    Case {
        changes: true,
        ..reads("db shell", &["db", "shell", "app", "select count(*) from t"])
    },
    Case {
        changes: true,
        ..reads(
            "db shell",
            &["db", "shell", "app", "--location", "lhr", "select count(*) from t"],
        )
    },
    Case {
        content: true,
        refused: Some(8),
        ..changes(
            "db shell, to write",
            &["db", "shell", "app", "insert into t values (7)"],
        )
    },
    Case {
        content: true,
        ..changes("db exec", &["db", "exec", "app", "insert into t values (7)"])
    },
    Case {
        changes: true,
        ..reads("db exec, to read", &["db", "exec", "app", "select count(*) from t"])
    },
    Case {
        content: true,
        ..changes("db migrate", &["db", "migrate", "app"])
    },
    changes("db destroy", &["db", "destroy", "app", "--yes"]),
    changes(
        "db destroy --location",
        &["db", "destroy", "app", "--location", "lhr", "--yes"],
    ),
    changes("db rename", &["db", "rename", "app", "renamed"]),
    changes("db branch", &["db", "branch", "app", "made"]),
    changes("db branch", &["db", "branch", "app", "made", "--expires-in", "3d"]),
    Case {
        content: true,
        ..changes(
            "db branch --reset",
            &["db", "branch", "app", "twig", "--reset", "--yes"],
        )
    },
    Case {
        changes: true,
        ..reads("db diff", &["db", "diff", "app", "app"])
    },
    Case {
        changes: true,
        ..reads("db schema", &["db", "schema", "app"])
    },
    reads("wait db", &["wait", "db", "app"]),
    changes("gc", &["gc", "--yes"]),
    changes("db copy", &["db", "copy", "app", "made"]),
    Case {
        content: true,
        ..changes(
            "db copy --overwrite",
            &["db", "copy", "other", "app", "--overwrite", "--yes"],
        )
    },
    changes("db import", &["db", "import", "seed.csv", "made"]),
    Case {
        content: true,
        refused: Some(5),
        ..changes(
            "db import, into a database that is there",
            &["db", "import", "seed.csv", "app"],
        )
    },
    reads(
        "db export",
        &["db", "export", "app", "--output-file", "out.db", "--overwrite"],
    ),
    reads("db backup", &["db", "backup", "app", "--to", "backups", "--force"]),
    reads("db backups", &["db", "backups", "app", "--in", "."]),
    changes("db dump", &["db", "dump", "app"]),
    changes("db inspect", &["db", "inspect", "app"]),
    reads("db inspect --queries", &["db", "inspect", "app", "--queries"]),
    reads("db config show", &["db", "config", "show", "app"]),
    changes("db config set", &["db", "config", "set", "app", "size-limit", "64mb"]),
    changes("db config set", &["db", "config", "set", "app", "block-writes", "on"]),
    changes(
        "db config set delete-protection",
        &["db", "config", "set", "app", "delete-protection", "on"],
    ),
    changes("db replicate", &["db", "replicate", "other", "lhr"]),
    reads("db replicas", &["db", "replicas", "app"]),
    reads("db sync", &["db", "sync", "app"]),
    reads("db sync --all", &["db", "sync", "--all"]),
    changes("db promote", &["db", "promote", "app", "lhr"]),
    // The primary runs.
    Case {
        done: 5,
        ..reads("db promote --force", &["db", "promote", "app", "--force", "--yes"])
    },
    reads("db verify", &["db", "verify", "app"]),
    // There is nothing to free.
    reads("db compact", &["db", "compact", "app"]),
    reads("db locations", &["db", "locations"]),
    changes("db tokens create", &["db", "tokens", "create", "app"]),
    changes(
        "db tokens create --read-only",
        &["db", "tokens", "create", "app", "--read-only"],
    ),
    changes(
        "db tokens create --group",
        &["db", "tokens", "create", "app", "--group"],
    ),
    reads("db tokens list", &["db", "tokens", "list", "app"]),
    changes(
        "db tokens revoke",
        &["db", "tokens", "revoke", "app", "{database token}", "--yes"],
    ),
    changes("db tokens invalidate", &["db", "tokens", "invalidate", "app", "--yes"]),
    reads("db usage", &["db", "usage", "app"]),
    changes("group create", &["group", "create", "made", "--location", "ams"]),
    reads("group list", &["group", "list"]),
    reads("group show", &["group", "show", "apart"]),
    changes("group rename", &["group", "rename", "apart", "renamed"]),
    changes("group destroy", &["group", "destroy", "apart", "--yes"]),
    reads("group locations list", &["group", "locations", "list", "default"]),
    changes("group locations add", &["group", "locations", "add", "apart", "lhr"]),
    changes(
        "group locations remove",
        &["group", "locations", "remove", "wide", "lhr", "--yes"],
    ),
    changes("group promote", &["group", "promote", "wide", "lhr"]),
    reads("group config show", &["group", "config", "show", "apart"]),
    changes(
        "group config set",
        &["group", "config", "set", "apart", "isolation", "database"],
    ),
    changes(
        "group config set delete-protection",
        &["group", "config", "set", "apart", "delete-protection", "on"],
    ),
    changes("group tokens create", &["group", "tokens", "create", "apart"]),
    changes(
        "group tokens create --read-only",
        &["group", "tokens", "create", "apart", "--read-only"],
    ),
    reads("group tokens list", &["group", "tokens", "list", "apart"]),
    changes(
        "group tokens revoke",
        &["group", "tokens", "revoke", "apart", "{group token}", "--yes"],
    ),
    changes(
        "group tokens invalidate",
        &["group", "tokens", "invalidate", "apart", "--yes"],
    ),
    changes("group transfer", &["group", "transfer", "apart", "{me}", "--yes"]),
    changes("apply, to create a database", &["apply", "--file", "made.toml"]),
    Case {
        done: 5,
        ..reads("apply --check", &["apply", "--file", "made.toml", "--check"])
    },
    reads("location list", &["location", "list"]),
    reads("location show", &["location", "show", "ams"]),
    reads("location status", &["location", "status"]),
    Case {
        only_refused: true,
        ..changes("auth logout --all", &["auth", "logout", "--all", "--yes"])
    },
    reads("auth whoami", &["auth", "whoami"]),
    reads("auth status", &["auth", "status"]),
    reads("auth api-tokens list", &["auth", "api-tokens", "list"]),
    changes("auth api-tokens mint", &["auth", "api-tokens", "mint", "made"]),
    changes(
        "auth api-tokens revoke",
        &["auth", "api-tokens", "revoke", "spare", "--yes"],
    ),
    reads("org list", &["org", "list"]),
    reads("org show", &["org", "show", "team"]),
    changes("org create", &["org", "create", "made"]),
    // It has databases.
    Case {
        done: 5,
        ..changes("org destroy", &["org", "destroy", "team", "--yes"])
    },
    changes("org db-transfer", &["org", "db-transfer", "app", "{me}", "--yes"]),
    reads("org members list", &["org", "members", "list"]),
    changes(
        "org members add",
        &["org", "members", "add", "guest", "--role", "viewer"],
    ),
    changes("org members role", &["org", "members", "role", "victim", "viewer"]),
    changes("org members remove", &["org", "members", "remove", "victim", "--yes"]),
    reads("org invites list", &["org", "invites", "list"]),
    changes("org invites create", &["org", "invites", "create", "made@example.com"]),
    changes(
        "org invites remove",
        &["org", "invites", "remove", "invited@example.com"],
    ),
    reads("org audit-logs list", &["org", "audit-logs", "list"]),
    reads("doctor", &["doctor"]),
    // The scene's server listens for no other machines.
    Case {
        done: 1,
        ..changes("location add --node", &["location", "add", "fra", "--node"])
    },
    Case {
        done: 3,
        ..changes("location remove --node", &["location", "remove", "fra", "--node"])
    },
    reads("server users list", &["server", "users", "list"]),
    Case {
        only_refused: true,
        ..changes(
            "server users disable",
            &["server", "users", "disable", "guest", "--yes"],
        )
    },
    Case {
        only_refused: true,
        ..changes("server users remove", &["server", "users", "remove", "guest", "--yes"])
    },
    reads("server orgs list", &["server", "orgs", "list"]),
    reads("server quotas list", &["server", "quotas", "list"]),
    changes("server quotas set", &["server", "quotas", "set", "databases=50"]),
    reads("server config show", &["server", "config", "show"]),
    changes(
        "server config set",
        &["server", "config", "set", "locations", "ams,lhr,iad"],
    ),
    reads("server schedules list", &["server", "schedules", "list"]),
    changes(
        "server schedules set",
        &["server", "schedules", "set", "--every", "48h"],
    ),
    changes(
        "server schedules remove",
        &["server", "schedules", "remove", "team/apart"],
    ),
];
