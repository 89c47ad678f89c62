//! The shell through a server's gateway: what that lets nobody ask of a process, the shell does itself.

use super::Deployment;
use crate::support::World;

#[test]
fn what_a_gateway_lets_nobody_ask_the_shell_does_itself() {
    let server = Deployment::new();
    let database = server.database("app");
    database
        .sql(&[
            "CREATE TABLE t(a, b)",
            "INSERT INTO t VALUES (1, 'one'), (-9e999, x'00ff'), (NULL, 2.5)",
        ])
        .unwrap();
    let mut world = World::new();
    world.set("TORSO_DATABASE_TOKEN", &database.token);
    let url = database.url.as_str();
    let shell = |database: &str, commands: &[&str]| world.ok([&["db", "shell", database], commands].concat());
    shell(url, &[".clone ./copy.db"]);
    for sum in [".sha3sum", ".sha3sum --schema --sha3-256", ".sha3sum t"] {
        assert_eq!(shell(url, &[sum]), shell("./copy.db", &[sum]), "{sum}");
    }
    // Infinities have their sign, on the way that results take there too.
    let negative = "SELECT a, count(*) FROM t WHERE a < 0";
    assert_eq!(shell(url, &[negative]), "-Inf|1\n");
    let told = shell(url, &[".dbinfo"]);
    assert!(told.contains("number of tables:    1\n"), "{told}");
    assert!(told.contains("text encoding:       1 (utf8)\n"), "{told}");
    assert_eq!(shell(url, &[".trace stdout", "SELECT 1"]), "SELECT 1;\n1\n");
}
