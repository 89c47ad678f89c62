//! A repository in a directory: what is written is read back, and nothing else is.

use super::*;
use crate::error::{Code, Result};
use jiff::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How many flipped bytes are tried with a key and without one, unless `TORSO_BACKUP_FLIPS` says how many.
const FLIPS: usize = 500;

fn key() -> BackupKey {
    BackupKey::parse(&"5a".repeat(32)).unwrap()
}

fn subject(id: &str) -> BackupSubject {
    BackupSubject::Database(DatabaseSubject {
        id: id.to_owned(),
        name: "app".to_owned(),
        group: "default".to_owned(),
        location: Some("ams".to_owned()),
        position: None,
        expires: false,
    })
}

/// A directory with a file, and a repository for backups of it.
struct Scene {
    dir: TempDir,
    file: PathBuf,
}

impl Scene {
    fn new(content: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("original");
        fs::write(&file, content).unwrap();
        Self { dir, file }
    }

    fn repository(&self, key: Option<BackupKey>) -> Repository {
        Repository::create(&BackupDestination::Directory(self.dir.path().join("backups")), key).unwrap()
    }

    fn store(&self, repository: &Repository, id: &str) -> Manifest {
        repository
            .store(subject(id), Timestamp::now(), &[&self.file], &mut |_, _| Ok(()))
            .unwrap()
    }

    /// The file of an object of a backup.
    fn object(&self, manifest: &Manifest, name: &str) -> PathBuf {
        let database = &manifest.database().unwrap().id;
        self.dir
            .path()
            .join(format!("backups/databases/{database}/{}/{name}", manifest.id))
    }

    /// Restores to a file, as commands do: finds the backup, then fetches it.
    fn restore(&self, repository: &Repository, id: &BackupId) -> Result<Vec<u8>> {
        let to = self.dir.path().join("restored");
        let restored = repository
            .find(id)
            .and_then(|manifest| repository.fetch(&manifest, &to, &mut |_, _| Ok(())));
        assert_eq!(restored.is_ok(), to.exists(), "a file that is not whole was left");
        restored.map(|()| {
            let content = fs::read(&to).unwrap();
            fs::remove_file(&to).unwrap();
            content
        })
    }
}

/// Bytes that do not become fewer by compression, and some that do.
fn content(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    let middle = length / 3..length / 2;
    bytes[middle].fill(7);
    bytes
}

#[test]
fn backup_of_any_size_is_restored_as_it_was() {
    for key in [None, Some(key())] {
        // The last is cut into two pieces.
        for length in [0, 1, 70_000, 13 << 20] {
            let scene = Scene::new(&content(length));
            let repository = scene.repository(key.clone());
            let manifest = scene.store(&repository, "one");
            assert_eq!(manifest.size_bytes(), length as u64);
            assert_eq!(manifest.encrypted, key.is_some());
            assert!(
                scene.restore(&repository, &manifest.id).unwrap() == content(length),
                "{length}"
            );
        }
    }
}

#[test]
fn backup_content_is_compressed_and_with_a_key_unreadable() {
    let text = b"a name that stands in the database ".repeat(10_000);
    let scene = Scene::new(&text);
    let plain = scene.store(&scene.repository(None), "one");
    assert!(
        plain.stored_bytes() * 20 < plain.size_bytes(),
        "{}",
        plain.stored_bytes()
    );
    let magic = 0xfd2f_b528_u32.to_le_bytes();
    assert!(fs::read(scene.object(&plain, "content")).unwrap().starts_with(&magic));
    let sealed = scene.store(&scene.repository(Some(key())), "one");
    let stored = fs::read(scene.object(&sealed, "content")).unwrap();
    assert!(!stored.windows(4).any(|window| window == magic));
}

#[test]
fn backup_with_a_flipped_byte_is_refused() {
    let flips = std::env::var("TORSO_BACKUP_FLIPS").map_or(FLIPS, |count| count.parse().unwrap());
    let seed = std::env::var("TORSO_SEED").map_or(14, |seed| seed.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(seed);
    for key in [None, Some(key())] {
        let scene = Scene::new(&content(200_000));
        let repository = scene.repository(key);
        let manifest = scene.store(&repository, "one");
        for turn in 0..flips {
            // Half of them in the manifest, which has fewer bytes.
            let object = scene.object(&manifest, if turn % 2 == 0 { "content" } else { "manifest" });
            let whole = fs::read(&object).unwrap();
            let mut flipped = whole.clone();
            let at = random.usize(..flipped.len());
            let bit = random.u8(..8);
            flipped[at] ^= 1 << bit;
            fs::write(&object, flipped).unwrap();
            let error = scene
                .restore(&repository, &manifest.id)
                .expect_err("a flipped byte was not found");
            let known = [Code::BackupDamaged, Code::BackupKey];
            assert!(
                known.contains(&error.code()),
                "bit {bit} of byte {at} of {object:?}: {error}"
            );
            fs::write(&object, whole).unwrap();
        }
        scene.restore(&repository, &manifest.id).unwrap();
    }
}

#[test]
fn backup_that_was_cut_or_grew_or_lost_its_content_is_refused() {
    let scene = Scene::new(&content(200_000));
    let repository = scene.repository(None);
    let manifest = scene.store(&repository, "one");
    let object = scene.object(&manifest, "content");
    let whole = fs::read(&object).unwrap();
    for changed in [&whole[..whole.len() - 1], &[&whole[..], b"x"].concat(), b""] {
        fs::write(&object, changed).unwrap();
        let error = scene.restore(&repository, &manifest.id).unwrap_err();
        assert_eq!(error.code(), Code::BackupDamaged, "{error}");
    }
    fs::remove_file(&object).unwrap();
    let error = scene.restore(&repository, &manifest.id).unwrap_err();
    assert_eq!(error.code(), Code::BackupDamaged, "{error}");
}

#[test]
fn backup_without_a_manifest_is_not_listed() {
    let scene = Scene::new(b"content");
    let repository = scene.repository(None);
    let (first, second) = (scene.store(&repository, "one"), scene.store(&repository, "two"));
    fs::remove_file(scene.object(&first, "manifest")).unwrap();
    let listed = repository.list(None).unwrap();
    assert_eq!(listed.iter().map(|one| &one.id).collect::<Vec<_>>(), [&second.id]);
    assert_eq!(repository.find(&first.id).unwrap_err().code(), Code::BackupNotFound);
    assert!(repository.list(Some("one")).unwrap().is_empty());
}

#[test]
fn backup_in_a_list_says_when_it_is_damaged() {
    let scene = Scene::new(b"content");
    let repository = scene.repository(None);
    let (first, second) = (scene.store(&repository, "one"), scene.store(&repository, "one"));
    let manifest = scene.object(&first, "manifest");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"app\"", "\"apt\"")).unwrap();
    let listed = repository.list(Some("one")).unwrap();
    assert_eq!(listed.len(), 2);
    for one in listed {
        assert_eq!(one.manifest.is_ok(), one.id == second.id, "{one:?}");
    }
}

#[test]
fn backup_that_stands_in_the_place_of_another_is_refused() {
    let scene = Scene::new(b"content");
    for key in [None, Some(key())] {
        let repository = scene.repository(key);
        let (first, second) = (scene.store(&repository, "one"), scene.store(&repository, "two"));
        for name in ["content", "manifest"] {
            fs::copy(scene.object(&first, name), scene.object(&second, name)).unwrap();
        }
        let error = scene.restore(&repository, &second.id).unwrap_err();
        assert_eq!(error.code(), Code::BackupDamaged, "{error}");
    }
}

#[test]
fn backup_is_only_restored_with_the_key_that_it_was_made_with() {
    let scene = Scene::new(b"content");
    let (ours, open) = (scene.repository(Some(key())), scene.repository(None));
    let other = scene.repository(Some(BackupKey::parse(&"a5".repeat(32)).unwrap()));
    let (sealed, plain) = (scene.store(&ours, "one"), scene.store(&open, "one"));
    for (repository, id) in [(&open, &sealed.id), (&other, &sealed.id), (&ours, &plain.id)] {
        let error = scene.restore(repository, id).unwrap_err();
        assert_eq!(error.code(), Code::BackupKey, "{error}");
        assert!(error.hint_text().is_some());
    }
    // A list needs no key, and no backup that the key cannot read is taken for the last.
    assert_eq!(
        open.list(None)
            .unwrap()
            .iter()
            .filter(|one| one.manifest.is_ok())
            .count(),
        2
    );
    assert_eq!(ours.newest_retained("one").unwrap().unwrap().id, sealed.id);
    assert_eq!(open.newest_retained("one").unwrap().unwrap().id, plain.id);
    assert_eq!(other.newest_retained("one").unwrap().map(|one| one.id), None);
}

#[test]
fn backup_that_is_deleted_leaves_no_object() {
    let scene = Scene::new(b"content");
    let repository = scene.repository(None);
    let manifest = scene.store(&repository, "one");
    repository.delete(&manifest).unwrap();
    assert!(!scene.object(&manifest, "content").exists());
    assert!(repository.list(None).unwrap().is_empty());
    repository.delete(&manifest).unwrap();
}

#[test]
fn backup_place_that_is_not_there_is_an_error_for_readers_only() {
    let dir = tempfile::tempdir().unwrap();
    let destination = BackupDestination::Directory(dir.path().join("none"));
    let Err(error) = Repository::open(&destination, None) else {
        panic!("a directory that is not there was opened");
    };
    assert_eq!(error.code(), Code::BackupNotFound);
    assert!(!dir.path().join("none").exists());
    Repository::create(&destination, None).unwrap();
    assert!(is_private(&dir.path().join("none/databases")));
}

#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o700
}

#[cfg(not(unix))]
fn is_private(path: &Path) -> bool {
    path.is_dir()
}

#[test]
fn backup_whose_work_is_stopped_leaves_nothing_to_list() {
    let scene = Scene::new(&content(300_000));
    let repository = scene.repository(None);
    let stop = |done: u64, _| match done {
        100_000.. => Err(crate::error::Error::new(Code::Interrupted, "interrupted")),
        _ => Ok(()),
    };
    let error = repository
        .store(subject("one"), Timestamp::now(), &[&scene.file], &mut { stop })
        .unwrap_err();
    assert_eq!(error.code(), Code::Interrupted);
    assert!(repository.list(None).unwrap().is_empty());
}

#[test]
fn backup_that_was_not_completed_is_removed_a_day_later() {
    let scene = Scene::new(b"content");
    let repository = scene.repository(None);
    let manifest = scene.store(&repository, "one");
    let folder = scene.object(&manifest, "manifest").parent().unwrap().to_owned();
    // One of long ago, one of today, and what is there of an upload that was cut short.
    let (old, new) = (
        folder.with_file_name("20200101-000000-00000000"),
        BackupId::new(Timestamp::now()),
    );
    let new = folder.with_file_name(new.as_str());
    for left in [&old, &new] {
        fs::create_dir(left).unwrap();
        fs::write(left.join("content"), "half").unwrap();
        fs::write(left.join("content#1"), "ha").unwrap();
    }
    let whole_and_old = folder.with_file_name("20200101-000000-11111111");
    fs::create_dir(&whole_and_old).unwrap();
    fs::write(whole_and_old.join("manifest"), "").unwrap();
    repository.remove_unfinished("one").unwrap();
    repository.remove_unfinished_of_servers().unwrap();
    assert!(!old.exists() && new.exists() && folder.exists() && whole_and_old.exists());
}

#[test]
fn backup_of_a_server_has_all_its_files_in_order() {
    for key in [None, Some(key())] {
        let scene = Scene::new(b"accounts");
        let repository = scene.repository(key);
        let second = scene.dir.path().join("second");
        fs::write(&second, b"catalog").unwrap();
        let database = scene.store(&repository, "one");
        let server = ServerSubject {
            server: "s1".to_owned(),
            files: vec!["accounts.db".to_owned(), "organizations/o/catalog.db".to_owned()],
            databases: vec![IncludedDatabase {
                organization: "o".to_owned(),
                id: "one".to_owned(),
                name: "app".to_owned(),
                backup: database.id.clone(),
            }],
        };
        let subject = BackupSubject::Server(server.clone());
        let files = [scene.file.as_path(), &second];
        let made = repository
            .store(subject, Timestamp::now(), &files, &mut |_, _| Ok(()))
            .unwrap();
        let found = repository.find_server(&made.id).unwrap();
        assert_eq!(found.server(), Some(&server));
        for (at, content) in ["accounts", "catalog"].into_iter().enumerate() {
            let to = scene.dir.path().join(format!("fetched-{at}"));
            repository.fetch_content(&found, at, &to, &mut |_, _| Ok(())).unwrap();
            assert_eq!(fs::read_to_string(to).unwrap(), content);
        }
        assert!(
            repository
                .fetch_content(&found, 2, &second, &mut |_, _| Ok(()))
                .is_err()
        );
        assert_eq!(repository.list_servers().unwrap().len(), 1);
        assert_eq!(repository.backups_of_server("s1").unwrap().len(), 1);
        assert_eq!(repository.backups_of_server("s2").unwrap().len(), 0);
        assert_eq!(repository.list(None).unwrap().len(), 1);
        assert_eq!(repository.get("one", &database.id).unwrap(), database);
        assert_eq!(repository.find(&made.id).unwrap_err().code(), Code::BackupNotFound);
    }
}
