//! Backups and restores of servers that are killed: what is listed is whole, and what is there is complete.

use super::server::{make_app, on_machine, serve, sqld_program};
use crate::support::World;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Starts a command of a data directory, and kills it after a while. Returns whether it was killed.
fn killed_after(mut command: Command, pause: Duration) -> bool {
    command.env_remove("TORSO_API_URL").env_remove("TORSO_TOKEN");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(pause);
    let was_running = child.try_wait().unwrap().is_none();
    // It may have ended just now.
    let _ = child.kill();
    child.wait().unwrap();
    was_running
}

/// What is in a directory whose name begins so.
fn beginning_with(dir: &std::path::Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix))
        .collect()
}

#[test]
fn server_backup_and_restore_that_are_killed_leave_nothing_half_made() {
    let mut world = World::new();
    let server = serve(&mut world, &[]);
    make_app(&world);
    world.ok([
        "db",
        "shell",
        "app",
        "insert into t select 9, randomblob(900000) from t, t, t, t",
    ]);
    drop(server);
    let backups = world.work().join("backups");
    world.set("TORSO_BACKUP_TO", &backups);
    let sqld = sqld_program();
    let line = ["server", "backup", "--sqld", &sqld];
    let mut random = fastrand::Rng::with_seed(14);
    let mut killed = 0;
    for _ in 0..6 {
        let pause = Duration::from_millis(random.u64(20..600));
        killed += usize::from(killed_after(world.torso_command(line), pause));
    }
    assert!(killed > 0);
    on_machine(&world, &line).success();
    assert!(beginning_with(&world.data_dir().join("server"), "backup-").is_empty());
    let listed = on_machine(&world, &["server", "backups", "--json"]).success().json();
    assert!(
        listed.as_array().unwrap().iter().all(|one| one.get("error").is_none()),
        "{listed}"
    );

    let mut empty = World::new();
    empty.set("TORSO_BACKUP_TO", &backups);
    let made = empty.data_dir().join("server");
    let mut pause = Duration::from_millis(3);
    while killed_after(empty.torso_command(["server", "restore"]), pause) {
        // What has its name is complete: the command was at its last words.
        if made.exists() {
            break;
        }
        pause *= 2;
    }
    if !made.exists() {
        on_machine(&empty, &["server", "restore"]).success();
    }
    assert!(beginning_with(&empty.data_dir(), ".restoring-").is_empty());
    let _server = serve(&mut empty, &["--issue-token", "alice"]);
    assert_eq!(empty.query("app", "select count(*) from t"), "18");
}
