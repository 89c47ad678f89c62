//! Details to connect with: `db env`, `env pull`, `db create --print-env` and `link`.

use crate::support::server::Server;
use crate::support::{Run, World};
use std::os::unix::fs::PermissionsExt;

/// A world with `app` in it, and its URL.
fn world() -> (World, String) {
    let world = World::with_app("create table t (x)");
    let url = world.ok(["db", "show", "app", "--url"]).trim().to_owned();
    (world, url)
}

/// What a shell has in a variable after it has read what torso printed.
fn read_by(world: &World, shell: &str, script: &str) -> String {
    let mut command = world.command(shell);
    command.args(["-c", script]).env("TORSO", crate::support::world::TORSO);
    Run::of(command).success().stdout.trim().to_owned()
}

#[test]
fn env_of_each_form_is_read_by_its_reader() {
    let (world, url) = world();
    let sh = r#"eval "$("$TORSO" db env app --format export --env-name X)"; echo "$X$TURSO_AUTH_TOKEN""#;
    assert_eq!(read_by(&world, "sh", sh), url);
    let fish = "$TORSO db env app --format fish --env-name X | source; echo $X$TURSO_AUTH_TOKEN";
    assert_eq!(read_by(&world, "fish", fish), url);
    let dotenv = "set -a; $TORSO db env app > .env; . ./.env; echo \"$DATABASE_URL\"";
    assert_eq!(read_by(&world, "sh", dotenv), url);
    for line in [
        ["db", "env", "app", "--format", "json"].as_slice(),
        &["db", "env", "app", "--json"],
    ] {
        let json = world.torso(line).success().json();
        assert_eq!(
            (&json["TURSO_DATABASE_URL"], &json["TURSO_AUTH_TOKEN"]),
            (&url.clone().into(), &"".into())
        );
    }
    let powershell = world.ok(["db", "env", "app", "--format", "powershell"]);
    assert!(
        powershell.starts_with(&format!("$env:DATABASE_URL = '{url}'\n")),
        "{powershell}"
    );
    // The same script runs here and on servers.
    let limited = world
        .torso(["db", "env", "app", "--read-only", "--expires", "30m"])
        .success();
    assert_eq!(limited.stdout, world.ok(["db", "env", "app"]));
    assert!(
        limited.stderr.contains("--read-only and --expires change nothing here"),
        "{}",
        limited.report()
    );
    world
        .torso(["db", "env", "app", "--env-name", "1A", "--json"])
        .fails(1, "invalid_value");
    world
        .torso(["db", "env", "none", "--json"])
        .fails(3, "database_not_found");
}

#[test]
fn env_for_github_masks_the_token_and_sets_it_for_later_steps() {
    let mut world = World::new();
    let server = Server::start(&world, &["--owner", "alice"]);
    let token = server.token.clone();
    world.set("TORSO_API_URL", server.url());
    world.set("TORSO_TOKEN", &token);
    world.ok(["db", "create", "app"]);
    let line = ["db", "env", "app", "--format", "github", "--expires", "30m"];
    let mut refused = world.torso_command(line);
    refused.arg("--json");
    Run::of(refused).fails(1, "invalid_value");
    world.set("GITHUB_ENV", world.path("env"));
    world.set("GITHUB_OUTPUT", world.path("output"));
    std::fs::write(world.path("env"), "EARLIER=1\n").unwrap();
    let said = world.ok(line);
    let environment = std::fs::read_to_string(world.path("env")).unwrap();
    let value = |name: &str| {
        let line = environment
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("no {name} in {environment}")).to_owned()
    };
    assert_eq!(value("EARLIER"), "1");
    assert_eq!(said, format!("::add-mask::{}\n", value("TURSO_AUTH_TOKEN")));
    assert_eq!(value("DATABASE_URL"), world.ok(["db", "show", "app", "--url"]).trim());
    let output = std::fs::read_to_string(world.path("output")).unwrap();
    assert!(
        output.contains(&format!("database_token={}\n", value("DATABASE_TOKEN"))),
        "{output}"
    );
    let url = value("DATABASE_URL");
    world.set("TORSO_DATABASE_TOKEN", value("DATABASE_TOKEN"));
    assert_eq!(world.ok(["db", "shell", &url, "select 1"]), "1\n");
    let tokens = world.json(["db", "tokens", "list", "app"]);
    assert_eq!(tokens[0]["name"], "torso db env");
    assert!(tokens[0]["expires_at"].is_string(), "{tokens}");
}

#[test]
fn env_pull_keeps_other_lines_and_hides_the_file() {
    let (world, url) = world();
    let path = world.write(".env", "# keys\nSECRET='a b' # mine\nDATABASE_URL=old\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    world.ok(["env", "pull", "--db", "app"]);
    let expected = format!(
        "# keys\nSECRET='a b' # mine\nDATABASE_URL={url}\nDATABASE_TOKEN=\nTURSO_DATABASE_URL={url}\nTURSO_AUTH_TOKEN=\n"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    world.ok(["env", "pull", "--db", "app"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    world
        .torso(["env", "pull", "--db", "none", "--json"])
        .fails(3, "database_not_found");
    world
        .torso(["env", "pull", "no/such/folder/.env", "--db", "app", "--json"])
        .fails(3, "file_not_found");
}

#[test]
fn env_pull_writes_what_a_link_leads_to() {
    let (world, url) = world();
    std::fs::create_dir(world.work().join("shared")).unwrap();
    std::os::unix::fs::symlink("shared/real.env", world.work().join("link.env")).unwrap();
    let pulled = world.json(["env", "pull", "link.env", "--db", "app"]);
    let real = world.work().join("shared/real.env").canonicalize().unwrap();
    assert_eq!(pulled["file"], real.to_str().unwrap());
    assert!(world.work().join("link.env").is_symlink());
    assert!(std::fs::read_to_string(&real).unwrap().contains(&url));
    std::os::unix::fs::symlink("circle", world.work().join("circle")).unwrap();
    world
        .torso(["env", "pull", "circle", "--db", "app", "--json"])
        .fails(1, "invalid_file");
}

#[test]
fn env_pull_of_what_is_no_text_file_names_it() {
    let (world, _) = world();
    world
        .torso(["env", "pull", "-", "--db", "app", "--json"])
        .fails(2, "usage");
    assert!(!world.work().join("-").exists());
    std::fs::write(world.work().join(".env"), b"A=1\nNAME=Z\xfcrich\n").unwrap();
    let refused = world.torso(["env", "pull", "--db", "app", "--json"]);
    let error = refused.fails(1, "invalid_file").error();
    assert!(error["message"].as_str().unwrap().contains(".env:2: "), "{error}");
}

#[test]
fn linked_folder_needs_no_name() {
    let (world, url) = world();
    world.torso(["db", "env", "--json"]).fails(2, "usage");
    world.ok(["link", "app"]);
    assert_eq!(world.ok(["db", "show", "--url"]).trim(), url);
    assert!(world.ok(["db", "env"]).contains(&url));
    world.ok(["env", "pull"]);
    world.ok(["link", "--remove"]);
    assert!(!world.work().join(".torso.toml").exists());
    assert_eq!(world.json(["link", "--remove"])["changed"], false);
    world.torso(["link", "none", "--json"]).fails(3, "database_not_found");
}

#[test]
fn create_prints_what_to_connect_with() {
    let world = World::new();
    let printed = world.ok(["db", "create", "app", "--print-env"]);
    assert_eq!(printed, world.ok(["db", "env", "app"]));
    assert_eq!(
        world.ok(["db", "create", "app", "--if-not-exists", "--print-env"]),
        printed
    );
}
