//! The project file: finding it, and deciding whether it is to be trusted.
//!
//! A project file comes with a folder, which may be anybody's. One that is not an ordinary small file of the user's own (or of
//! the system's administrator) is passed over with a sentence, and of one that cannot be understood no error repeats more than
//! the place and a key's name.

use super::files;
use super::keys::SettingKey;
use crate::error::{Error, Result};
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use toml_edit::DocumentMut;

/// The project file's name.
pub const PROJECT_FILE: &str = ".torso.toml";

/// Bytes of the largest project file.
const LARGEST: u64 = 64 << 10;

/// The project file that is in effect, and sentences about those that were passed over.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub file: Option<(PathBuf, DocumentMut)>,
    pub passed_over: Vec<String>,
}

/// Reads the project file in this directory or the nearest one above. An error is about one that is trusted and cannot be
/// understood.
pub(super) fn find() -> Result<Project> {
    match std::env::current_dir() {
        Ok(here) => find_from(&here),
        Err(_) => Ok(Project::default()),
    }
}

fn find_from(here: &Path) -> Result<Project> {
    let mut project = Project::default();
    for dir in here.ancestors() {
        let path = dir.join(PROJECT_FILE);
        match read(&path) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                let text = String::from_utf8(bytes).map_err(|_| files::invalid(&path, "it is not UTF-8 text"))?;
                let document = files::parse(&path, &text)?;
                check_keys(&path, &text, &document)?;
                project.file = Some((path, document));
                break;
            }
            Err(why) => project.passed_over.push(format!("ignoring {}: {why}", path.display())),
        }
    }
    Ok(project)
}

/// The file's content; none where there is no file, or why it is passed over.
fn read(path: &Path) -> std::result::Result<Option<Vec<u8>>, String> {
    let before = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    // A pipe or a device would be waited for; what is opened is checked once more below.
    let own = own_user();
    check_trust(&before, own)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    check_trust(&file.metadata().map_err(|error| error.to_string())?, own)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large());
    }
    Ok(Some(bytes))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory | std::io::ErrorKind::PermissionDenied
    )
}

fn too_large() -> String {
    format!("it is larger than {} KiB", LARGEST >> 10)
}

/// The number of this program's user; none where users have none.
fn own_user() -> Option<u32> {
    #[cfg(unix)]
    return Some(rustix::process::geteuid().as_raw());
    #[cfg(not(unix))]
    None
}

/// Refuses a file that is not to be trusted by the user `own`.
fn check_trust(metadata: &Metadata, own: Option<u32>) -> std::result::Result<(), String> {
    if metadata.file_type().is_symlink() {
        return Err("it is a symbolic link".to_owned());
    }
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    #[cfg(not(unix))]
    let _ = own;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if Some(metadata.uid()) != own && metadata.uid() != 0 {
            return Err("it belongs to another user".to_owned());
        }
        if metadata.mode() & 0o002 != 0 {
            return Err("every user may write to it (chmod o-w mends that)".to_owned());
        }
    }
    if metadata.len() > LARGEST {
        return Err(too_large());
    }
    Ok(())
}

/// Refuses unknown keys: a misspelt one could silently put a database elsewhere.
fn check_keys(path: &Path, text: &str, document: &DocumentMut) -> Result<()> {
    /// Characters of a key that is repeated.
    const LONGEST: usize = 40;
    let known = SettingKey::PROJECT.map(SettingKey::project_name);
    match document.iter().find(|(key, _)| !known.contains(key)) {
        Some((key, _)) => {
            let line = place_of(text, key);
            let key: String = key.chars().take(LONGEST).collect();
            Err(files::invalid(
                path,
                &format!("{line}{key:?} is not a key; keys are {}", known.join(", ")),
            ))
        }
        None => Ok(()),
    }
}

/// The line that a key is in, for the beginning of a sentence; empty where that is not plain.
fn place_of(text: &str, key: &str) -> String {
    let is_of_key = |line: &str| {
        let rest = line.trim_start().trim_start_matches(['"', '\'', '[']).strip_prefix(key);
        rest.is_some_and(|rest| {
            rest.trim_start_matches(['"', '\''])
                .trim_start()
                .starts_with(['=', '.', ']'])
        })
    };
    let line = text.lines().position(is_of_key);
    line.map_or_else(String::new, |line| format!("line {}: ", line + 1))
}

/// A project file's value. It is not repeated in errors.
pub(super) fn value(path: &Path, document: &DocumentMut, key: SettingKey) -> Result<Option<String>> {
    let name = key.project_name();
    let Some(item) = document.get(name) else {
        return Ok(None);
    };
    let line = || place_of(&std::fs::read_to_string(path).unwrap_or_default(), name);
    let Some(text) = item.as_str() else {
        return Err(files::invalid(
            path,
            &format!("{}{name} is not a text in quotes", line()),
        ));
    };
    key.check(text).map_err(|error: Error| {
        let invalid = files::invalid(path, &format!("{}{name} has a value that it cannot have", line()));
        match error.hint_text() {
            Some(hint) if !hint.contains(text) => invalid.hint(hint),
            _ => invalid,
        }
    })?;
    Ok(Some(text.to_owned()))
}

/// Writes a database, and the context that it is in, into the project file at `path`; with none, removes both. Comments and
/// other keys stay, and a file without keys is removed. False if nothing had to be changed.
pub(super) fn link(path: &Path, database: Option<(&str, Option<&str>)>) -> Result<bool> {
    let text = files::read_text(path)?;
    let mut document = files::parse(path, &text)?;
    check_keys(path, &text, &document)?;
    let before = document.to_string();
    let (database, context) = database.map_or((None, None), |(database, context)| (Some(database), context));
    for (key, value) in [(SettingKey::Database, database), (SettingKey::Context, context)] {
        match value {
            Some(value) => document[key.project_name()] = toml_edit::value(value),
            None => drop(document.remove(key.project_name())),
        }
    }
    let after = document.to_string();
    if after == before {
        return Ok(false);
    }
    if after.trim().is_empty() {
        std::fs::remove_file(path).map_err(|error| Error::io(error, format!("cannot remove {}", path.display())))?;
        return Ok(true);
    }
    // Its line ends stay what they were, which the parser does not keep.
    let after = match text.contains("\r\n") {
        true => after.replace("\r\n", "\n").replace('\n', "\r\n"),
        false => after,
    };
    // Others may read it: it holds no secret, and belongs to the folder.
    files::replace(path, &after, 0o644)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn project(dir: &Path) -> Project {
        find_from(&dir.canonicalize().unwrap()).unwrap()
    }

    #[test]
    fn linked_project_file_keeps_its_other_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PROJECT_FILE);
        assert!(link(&path, Some(("app", Some("prod")))).unwrap());
        assert!(!link(&path, Some(("app", Some("prod")))).unwrap());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "database = \"app\"\ncontext = \"prod\"\n"
        );
        assert!(link(&path, None).unwrap());
        assert!(!path.exists());
        std::fs::write(&path, "# ours\r\nlocation = \"ams\"\r\n").unwrap();
        assert!(link(&path, Some(("app", None))).unwrap());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "# ours\r\nlocation = \"ams\"\r\ndatabase = \"app\"\r\n"
        );
        std::fs::write(&path, "# ours\nlocation = \"ams\" # near\n").unwrap();
        assert!(link(&path, Some(("app", None))).unwrap());
        assert!(link(&path, None).unwrap());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "# ours\nlocation = \"ams\" # near\n"
        );
    }

    #[test]
    fn project_file_is_the_nearest_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(dir.path().join(PROJECT_FILE), "database = \"outer\"").unwrap();
        let (path, document) = project(&deep).file.unwrap();
        assert_eq!(value(&path, &document, SettingKey::Database).unwrap().unwrap(), "outer");
        std::fs::write(deep.join(PROJECT_FILE), "database = \"inner\"").unwrap();
        let (path, document) = project(&deep).file.unwrap();
        assert_eq!(value(&path, &document, SettingKey::Database).unwrap().unwrap(), "inner");
        assert_eq!(value(&path, &document, SettingKey::Context).unwrap(), None);
    }

    #[test]
    fn project_file_that_is_not_an_own_small_file_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().join("a");
        std::fs::create_dir(&here).unwrap();
        std::fs::write(dir.path().join(PROJECT_FILE), "database = \"outer\"").unwrap();
        let path = here.join(PROJECT_FILE);
        let good = "database = \"inner\"\n";
        let cases: [(&str, &dyn Fn()); 5] = [
            ("symbolic link", &|| {
                std::fs::write(here.join("other"), good).unwrap();
                std::os::unix::fs::symlink("other", &path).unwrap();
            }),
            ("regular file", &|| std::fs::create_dir(&path).unwrap()),
            ("regular file", &|| {
                // A FIFO that nobody writes to: opening it would wait for ever.
                let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
                assert!(made.success());
            }),
            ("every user", &|| {
                std::fs::write(&path, good).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
            }),
            ("64 KiB", &|| {
                std::fs::write(&path, format!("{good}#{}", " ".repeat(70_000))).unwrap();
            }),
        ];
        for (why, make) in cases {
            make();
            let found = project(&here);
            assert!(found.passed_over[0].contains(why), "{found:?}");
            assert_eq!(found.passed_over.len(), 1);
            let (used, _) = found.file.unwrap();
            assert_eq!(used.parent(), dir.path().canonicalize().ok().as_deref());
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path));
        }
    }

    #[test]
    fn project_file_of_another_user_is_passed_over() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PROJECT_FILE);
        std::fs::write(&path, "database = \"theirs\"").unwrap();
        // Only the administrator can give a file away.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            let found = project(dir.path());
            assert!(found.file.is_none());
            assert!(found.passed_over[0].contains("another user"), "{found:?}");
        }
        // For everybody else, somebody else looks at it.
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!(check_trust(&metadata, Some(metadata.uid())), Ok(()));
        let refused = check_trust(&metadata, Some(metadata.uid() + 1)).unwrap_err();
        assert!(refused.contains("another user"), "{refused}");
    }

    #[test]
    fn project_file_that_cannot_be_understood_is_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "-----BEGIN PRIVATE KEY-----\nhush\n",
            "database = hush",
            "database = \"hush",
            "database = [\"hush\"]",
            "context = \"hush hush\"",
            "location = \"HUSH/hush\"",
            "database = \"a\"\ndatabase = \"hush\"",
        ] {
            std::fs::write(dir.path().join(PROJECT_FILE), text).unwrap();
            let error = match find_from(&dir.path().canonicalize().unwrap()) {
                Err(error) => error,
                Ok(project) => {
                    let (path, document) = project.file.unwrap();
                    SettingKey::PROJECT
                        .into_iter()
                        .find_map(|key| value(&path, &document, key).err())
                        .unwrap()
                }
            };
            let text = format!("{} {:?}", error.full_message(), error.hint_text());
            assert!(!text.to_lowercase().contains("hush"), "{text}");
        }
    }
}
