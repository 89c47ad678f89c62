//! Schedules of backups: of the whole server and of groups, what is kept of them, and who may set them.

use super::{World, at, db, options, request, slug};
use crate::conformance::{create, refused};
use crate::support::until;
use std::path::Path;
use std::time::Duration;
use torso::backup::{BackupDestination, Manifest, Repository};
use torso::control::accounts::{BackupScheduleChange, ScheduledGroup};
use torso::control::hosted::{BackupPlan, Hosted};
use torso::control::types::NewGroup;
use torso::control::{Accounts, ControlPlane};
use torso::error::Code;

fn destination(world: &World) -> BackupDestination {
    BackupDestination::Directory(world.dir.path().join("backups"))
}

fn start(world: &World) {
    start_at(&world.hosted, world.dir.path());
}

fn start_at(hosted: &Hosted, dir: &Path) {
    let plan = BackupPlan {
        destination: BackupDestination::Directory(dir.join("backups")),
        key: None,
    };
    hosted.start_backups(plan, None, None).unwrap();
}

fn group(text: &str) -> ScheduledGroup {
    text.parse().unwrap()
}

/// A change of a group's schedule, or of the server's.
fn change(of: Option<&str>, every: Option<u64>, keep: Option<&str>) -> BackupScheduleChange {
    let (organization, group) = of.map(group).map(|of| (of.organization, of.group)).unzip();
    BackupScheduleChange {
        organization,
        group,
        every_seconds: every,
        keep: keep.map(str::to_owned),
    }
}

/// The backups of groups, the newest first.
fn of_groups(repository: &Repository) -> Vec<Manifest> {
    let servers = repository.list_servers().unwrap();
    let server = servers[0].manifest.as_ref().unwrap().server().unwrap().server.clone();
    repository.backups_of_groups(&server).unwrap()
}

fn execute(plane: &dyn ControlPlane, name: &str, sql: &str) {
    let connection = plane.connection(&db(name), None).unwrap();
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    let connection = rusqlite::Connection::open_with_flags(connection.url.as_str(), flags).unwrap();
    connection.execute_batch(sql).unwrap();
}

fn schedules(accounts: &dyn Accounts) -> Vec<(Option<String>, u64, String)> {
    let listed = accounts.list_backup_schedules().unwrap().into_iter();
    listed
        .map(|one| (one.group.map(|group| group.to_string()), one.every_seconds, one.keep))
        .collect()
}

#[test]
fn schedule_of_a_group_makes_backups_and_keeps_what_it_says() {
    let world = World::new();
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    create(&*plane, "app", "ams");
    create(&*plane, "still", "ams");
    let name = plane.get_database(&db("app")).unwrap().group.to_string();
    plane
        .create_group(&NewGroup {
            name: "other".parse().unwrap(),
            location: at("ams"),
        })
        .unwrap();
    let mut elsewhere = request("elsewhere");
    elsewhere.group = Some("other".parse().unwrap());
    plane.create_database(&elsewhere).unwrap();
    start(&world);
    let status = || world.hosted.backup_status().unwrap();
    until("the server is backed up", || status().server.last_success.is_some());
    let accounts = world.hosted.accounts(&owner);
    let of = format!("alice/{name}");
    accounts
        .set_backup_schedule(&change(Some(&of), Some(1), Some("1d")))
        .unwrap();
    let repository = Repository::open(&destination(&world), None).unwrap();
    until("the group is backed up", || of_groups(&repository).len() == 1);
    let first = of_groups(&repository).remove(0);
    let included: Vec<_> = first.included().iter().map(|database| &*database.name).collect();
    assert_eq!(included, ["app", "still"]);
    // Nothing has changed since the server's backup, so the databases were not copied again.
    assert_eq!(repository.list(None).unwrap().len(), 3);

    let last_success =
        |status: torso::control::hosted::BackupStatus| status.groups.into_values().next().unwrap().last_success;
    let before = last_success(status());
    until("another one is due", || last_success(status()) > before);
    assert_eq!(of_groups(&repository)[0].id, first.id, "nothing has changed");

    let mut ids = vec![first.id];
    for turn in 0..2 {
        execute(&*plane, "app", &format!("create table t{turn} (x)"));
        until("the change is backed up", || {
            of_groups(&repository)[0].id != *ids.last().unwrap()
        });
        // Of one day, one is kept.
        until("the others are deleted", || of_groups(&repository).len() == 1);
        ids.push(of_groups(&repository)[0].id.clone());
        // What the server's backup refers to stays: three; and what the group's last one has beside that.
        until("databases that nothing refers to are deleted", || {
            repository.list(None).unwrap().len() == 4
        });
    }
    let shown = plane.get_database(&db("app")).unwrap().last_backup.unwrap();
    assert_eq!(shown.id, of_groups(&repository)[0].included()[0].backup.as_str());
    // Every backup that is there can be restored.
    for listed in repository.list(None).unwrap() {
        let to = world.dir.path().join("restored");
        repository
            .fetch(&listed.manifest.unwrap(), &to, &mut |_, _| Ok(()))
            .unwrap();
    }
    accounts.remove_backup_schedule(&group(&of)).unwrap();
    until("its status is forgotten", || status().groups.is_empty());
    assert_eq!(of_groups(&repository).len(), 1);
}

#[test]
fn schedule_is_the_operators_and_is_remembered() {
    let world = World::new();
    let owner = world.owner();
    let accounts = world.hosted.accounts(&owner);
    assert!(accounts.list_backup_schedules().unwrap().is_empty());
    let every_hour = change(Some("alice/default"), Some(3600), None);
    refused(
        accounts.set_backup_schedule(&every_hour),
        Code::Conflict,
        "no place for backups",
    );
    start(&world);
    let plane = world.hosted.plane(&owner, None).unwrap();
    accounts.set_backup_schedule(&every_hour).unwrap();
    accounts.set_backup_schedule(&change(None, None, Some("24h"))).unwrap();
    let expected = [
        (None, 24 * 3600, "24h".to_owned()),
        (Some("default".to_owned()), 3600, "7d,4w,12m".to_owned()),
    ];
    assert_eq!(schedules(&*accounts), expected);

    accounts.create_organization("acme").unwrap();
    let bob = world.caller(&world.user("acme", "bob", "owner"));
    let bobs = world.hosted.accounts(&bob);
    refused(bobs.list_backup_schedules(), Code::Forbidden, "operator");
    refused(
        bobs.set_backup_schedule(&change(Some("acme/default"), Some(1), None)),
        Code::Forbidden,
        "operator",
    );
    refused(
        bobs.remove_backup_schedule(&group("alice/default")),
        Code::Forbidden,
        "operator",
    );
    for (wrong, code) in [
        (change(Some("alice/none"), Some(1), None), Code::GroupNotFound),
        (
            change(Some("nobody/default"), Some(1), None),
            Code::OrganizationNotFound,
        ),
        (change(None, Some(0), None), Code::InvalidValue),
        (change(None, Some(u64::MAX), None), Code::InvalidValue),
        (change(None, None, Some("7x")), Code::InvalidValue),
    ] {
        assert_eq!(
            accounts.set_backup_schedule(&wrong).unwrap_err().code(),
            code,
            "{wrong:?}"
        );
    }
    assert_eq!(schedules(&*accounts), expected);
    let of_nothing = accounts.remove_backup_schedule(&group("acme/default"));
    assert!(matches!(
        of_nothing.unwrap_err().code(),
        Code::SettingNotFound | Code::GroupNotFound
    ));

    plane
        .rename_group(&"default".parse().unwrap(), &"renamed".parse().unwrap())
        .unwrap();
    assert_eq!(schedules(&*accounts)[1].0.as_deref(), Some("renamed"));
    drop((plane, accounts, bobs));
    let World { hosted, owner, dir } = world;
    hosted.shutdown();
    drop(hosted);
    let (hosted, _) = Hosted::open(options(dir.path())).unwrap();
    let caller = hosted.authenticate(&owner, &super::origin()).unwrap();
    start_at(&hosted, dir.path());
    let accounts = hosted.accounts(&caller);
    assert_eq!(
        schedules(&*accounts)[1],
        (Some("renamed".to_owned()), 3600, "7d,4w,12m".to_owned())
    );
    assert_eq!(schedules(&*accounts)[0].2, "24h");
    // A group that is deleted takes its schedule with it.
    hosted
        .plane(&caller, Some(&slug("alice")))
        .unwrap()
        .delete_group(&"renamed".parse().unwrap())
        .unwrap();
    assert_eq!(schedules(&*accounts).len(), 1);
}

#[test]
fn backups_whose_place_is_gone_are_failing_and_go_on_when_it_is_there() {
    let world = World::new();
    let place = world.dir.path().join("backups");
    std::fs::write(&place, "a file is in the way").unwrap();
    start(&world);
    let status = || world.hosted.backup_status().unwrap().server;
    until("it fails", || status().failure.is_some());
    assert!(status().last_success.is_none() && status().failures >= 1);
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    let findings = plane.check(false).unwrap();
    let about = findings
        .iter()
        .find(|finding| finding.code == "server_backups")
        .unwrap();
    assert!(
        about.message.contains("no backup of the server was made yet"),
        "{about:?}"
    );
    assert!(!about.message.contains(&*place.to_string_lossy()), "{about:?}");
    std::fs::remove_file(&place).unwrap();
    let accounts = world.hosted.accounts(&owner);
    // It is tried again no later than one is due.
    accounts.set_backup_schedule(&change(None, Some(1), None)).unwrap();
    let begun = std::time::Instant::now();
    until("it goes on", || status().failure.is_none());
    assert!(begun.elapsed() < Duration::from_secs(9));
}
