//! Reading a directory of migrations: which layout it has, which files belong to it, and in which order.

use super::text::read_text;
use super::{Migration, MigrationLayout, MigrationSet, atlas, drizzle, sections};
use crate::error::{Code, Error, Result};
use std::cmp::Ordering;
use std::path::Path;

/// What the names of files of SQL end with.
const SQL: &str = ".sql";

/// The file of a migration that has a folder of its own.
const IN_FOLDER: &str = "migration.sql";

/// Reads a directory. What is in the files is judged when they are to be applied.
///
/// Fails with `file_not_found`, with `invalid_file` where files do not fit together, and with `unsupported` where they are for
/// another tool only.
pub fn load(directory: &Path) -> Result<MigrationSet> {
    let listing = Listing::of(directory)?;
    let mut ignored = Vec::new();
    let layout = listing.layout(directory)?;
    let mut migrations = match layout {
        MigrationLayout::Drizzle => {
            let listed = drizzle::load(directory)?;
            let is_listed = |name: &str| listed.iter().any(|found| format!("{}.sql", found.version) == name);
            ignored.extend(
                listing
                    .files
                    .iter()
                    .filter(|name| is_sql(name) && !is_listed(name))
                    .map(|name| {
                        format!(
                            "{} is left out: {} does not list it",
                            directory.join(name).display(),
                            drizzle::JOURNAL
                        )
                    }),
            );
            listed
        }
        MigrationLayout::Folders => listing.of_folders(directory)?,
        _ => listing.of_files(directory, layout)?,
    };
    if migrations.is_empty() {
        return Err(
            Error::new(Code::InvalidFile, format!("{} has no migrations", directory.display()))
                .hint("put files such as 0001_create_tables.sql into it, or name another directory with --dir"),
        );
    }
    if layout != MigrationLayout::Drizzle {
        migrations.sort_by(|one, other| compare_versions(&one.version, &other.version));
        check_unique(&migrations)?;
    }
    Ok(MigrationSet {
        layout,
        migrations,
        ignored,
    })
}

/// The names in a directory, ordered.
struct Listing {
    files: Vec<String>,
    folders: Vec<String>,
}

impl Listing {
    fn of(directory: &Path) -> Result<Self> {
        let doing = |error| Error::io(error, format!("cannot read {}", directory.display()));
        let entries = std::fs::read_dir(directory).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(directory),
            std::io::ErrorKind::NotADirectory => Error::new(
                Code::InvalidValue,
                format!("{} is not a directory", directory.display()),
            )
            .hint("--dir names the directory that the migrations are in"),
            _ => doing(error),
        })?;
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for entry in entries {
            let entry = entry.map_err(doing)?;
            let name = entry.file_name().into_string().map_err(|name| {
                Error::new(
                    Code::InvalidFile,
                    format!("{} has a name that is not UTF-8", directory.join(name).display()),
                )
            })?;
            // Through links: what a link leads to counts.
            let is_folder = std::fs::metadata(entry.path())
                .map_err(|error| Error::io(error, format!("cannot read {}", entry.path().display())))?
                .is_dir();
            if !is_folder && name.to_ascii_lowercase().ends_with(SQL) && !is_sql(&name) {
                return Err(Error::new(
                    Code::InvalidFile,
                    format!("{}: the names of migrations end with {SQL}", entry.path().display()),
                )
                .hint(format!("rename it, with {SQL} in small letters")));
            }
            // Hidden files and those of editors are nobody's migrations.
            let names = if is_folder { &mut folders } else { &mut files };
            if !name.starts_with('.') {
                names.push(name);
            }
        }
        files.sort();
        folders.sort();
        Ok(Self { files, folders })
    }

    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file == name)
    }

    fn sql_files(&self) -> impl Iterator<Item = &String> {
        self.files.iter().filter(|name| is_sql(name))
    }

    fn layout(&self, directory: &Path) -> Result<MigrationLayout> {
        let in_folders = self
            .folders
            .iter()
            .find(|folder| directory.join(folder).join(IN_FOLDER).is_file());
        if directory.join(drizzle::JOURNAL).is_file() {
            return Ok(MigrationLayout::Drizzle);
        }
        if self.has(atlas::SUMS) {
            return Ok(MigrationLayout::Atlas);
        }
        if let Some(folder) = in_folders {
            return match self.sql_files().next() {
                None => Ok(MigrationLayout::Folders),
                Some(file) => Err(mixed(directory, file, &format!("{folder}/{IN_FOLDER}"))),
            };
        }
        if self.sql_files().any(|name| name.ends_with(".up.sql")) {
            return Ok(MigrationLayout::Reversible);
        }
        for name in self.sql_files() {
            let text = read_text(&directory.join(name))?;
            if sections::has_annotation(&text, sections::GOOSE) {
                return Ok(MigrationLayout::Goose);
            }
            if sections::has_annotation(&text, sections::SQL_MIGRATE) {
                return Ok(MigrationLayout::SqlMigrate);
            }
            if sections::has_annotation(&text, "migrate:up") {
                return Ok(MigrationLayout::Dbmate);
            }
        }
        Ok(MigrationLayout::Plain)
    }

    fn of_folders(&self, directory: &Path) -> Result<Vec<Migration>> {
        if self.has("migration_lock.toml") {
            let path = directory.join("migration_lock.toml");
            let text = read_text(&path)?;
            let provider = text.lines().find(|line| line.trim_start().starts_with("provider"));
            if let Some(line) = provider.filter(|line| !line.contains("sqlite")) {
                return Err(Error::new(
                    Code::Unsupported,
                    format!("{}: the migrations are not for SQLite: {}", path.display(), line.trim()),
                ));
            }
        }
        let mut migrations = Vec::new();
        for folder in &self.folders {
            let path = directory.join(folder).join(IN_FOLDER);
            if !path.is_file() {
                return Err(Error::new(
                    Code::InvalidFile,
                    format!("{} has no {IN_FOLDER}", directory.join(folder).display()),
                ));
            }
            let (version, name) = split_name(folder).ok_or_else(|| unnumbered(directory, folder))?;
            migrations.push(Migration::new(
                MigrationLayout::Folders,
                version,
                name,
                path.clone(),
                read_text(&path)?,
            ));
        }
        Ok(migrations)
    }

    fn of_files(&self, directory: &Path, layout: MigrationLayout) -> Result<Vec<Migration>> {
        if let Some(code) = self.files.iter().find(|name| is_code(name)) {
            return Err(Error::new(
                Code::Unsupported,
                format!("{} is a program; torso runs SQL only", directory.join(code).display()),
            )
            .hint("apply this directory with the tool that it was made for"));
        }
        let mut read = Vec::new();
        for name in self.sql_files() {
            read.push((name.clone(), read_text(&directory.join(name))?));
        }
        if layout == MigrationLayout::Atlas {
            atlas::check_sums(directory, &read_text(&directory.join(atlas::SUMS))?, &read)?;
        }
        let mut migrations = Vec::new();
        for (file, text) in read {
            let stem = match layout {
                _ if file.ends_with(".down.sql") => continue,
                MigrationLayout::Plain if undoes(&file, &self.files) => continue,
                MigrationLayout::Reversible => file.strip_suffix(".up.sql").ok_or_else(|| {
                    let other = self.sql_files().find(|name| name.ends_with(".up.sql"));
                    mixed(directory, &file, other.map_or("", String::as_str))
                })?,
                _ => file.strip_suffix(".sql").unwrap_or(&file),
            };
            let (version, name) = split_name(stem).ok_or_else(|| unnumbered(directory, &file))?;
            let path = directory.join(&file);
            migrations.push(Migration::new(layout, version, name, path, text));
        }
        Ok(migrations)
    }
}

fn is_sql(name: &str) -> bool {
    name.ends_with(SQL)
}

/// Whether a file is a migration that is a program: goose and dbmate take such in Go, Prisma and others in JavaScript.
fn is_code(name: &str) -> bool {
    let code = [".go", ".ts", ".js", ".py", ".rs"]
        .iter()
        .any(|end| name.ends_with(end));
    code && name.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether a file of Flyway undoes a version that the directory has: `U2_1__name.sql` beside `V2.1__name.sql`.
fn undoes(file: &str, files: &[String]) -> bool {
    let version = |file: &str, prefix| {
        let (version, _) = file.strip_prefix(prefix)?.split_once("__")?;
        flyway_version(version)
    };
    version(file, 'U').is_some_and(|undone| {
        let mut applied = files.iter().filter_map(|file| version(file, 'V'));
        applied.any(|version| compare_versions(&version, &undone).is_eq())
    })
}

/// The version and the name in `0001_create_tables`, `V1__create` or `0001-create`. Flyway has two underlines behind the version,
/// whose parts one underline or a dot separates: `V2_1__create` is version 2.1.
fn split_name(stem: &str) -> Option<(String, String)> {
    let flyway = stem.strip_prefix('V').and_then(|stem| stem.split_once("__"));
    if let Some((version, name)) = flyway {
        return Some((flyway_version(version)?, name.trim_start_matches(['_', '-']).to_owned()));
    }
    let numbered = stem.strip_prefix('V').unwrap_or(stem);
    let end = numbered
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(numbered.len());
    let (version, rest) = numbered.split_at(end);
    let separated = rest.is_empty() || rest.starts_with(['_', '-']);
    (is_version(version) && separated).then(|| (version.to_owned(), rest.trim_start_matches(['_', '-']).to_owned()))
}

/// The version in `2_1` or `2.1`, as Flyway has it.
fn flyway_version(text: &str) -> Option<String> {
    let version = text.replace('_', ".");
    is_version(&version).then_some(version)
}

/// Numbers with dots between them.
fn is_version(text: &str) -> bool {
    text.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// By number, part by part: `2` comes before `10`, and `1.2` before `1.10`.
pub(super) fn compare_versions(one: &str, other: &str) -> Ordering {
    let number = |part: &str| {
        let digits = part.trim_start_matches('0');
        (digits.len(), digits.to_owned())
    };
    one.split('.').map(number).cmp(other.split('.').map(number))
}

fn check_unique(migrations: &[Migration]) -> Result<()> {
    let twice = migrations
        .windows(2)
        .find(|pair| compare_versions(&pair[0].version, &pair[1].version).is_eq());
    match twice {
        None => Ok(()),
        Some(pair) => Err(Error::new(
            Code::InvalidFile,
            format!("{} and {} have the same version", pair[0].file(), pair[1].file()),
        )
        .hint("give the newer one a higher number")),
    }
}

fn unnumbered(directory: &Path, name: &str) -> Error {
    let path = directory.join(name);
    if name.starts_with("R__") {
        return Error::new(
            Code::Unsupported,
            format!(
                "{}: torso runs each migration once, and none repeatedly",
                path.display()
            ),
        )
        .hint("run it with torso db exec NAME -f FILE");
    }
    let begins_as = |prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    if begins_as("U") && name.contains("__") {
        return Error::new(
            Code::Unsupported,
            format!("{} undoes a version that the directory does not have", path.display()),
        )
        .hint("torso never undoes a migration: keep the file elsewhere, or bring back the V file of that version");
    }
    if begins_as("B") && name.contains("__") {
        return Error::new(
            Code::Unsupported,
            format!("{}: torso does not know baselines of Flyway", path.display()),
        )
        .hint("make the database of it, torso db create NAME --from-dump FILE, and keep the file elsewhere");
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Error::new(
            Code::InvalidFile,
            format!("{}: behind the number there is neither _ nor -", path.display()),
        )
        .hint("name it as in 0001_create_tables.sql, or keep it elsewhere");
    }
    Error::new(
        Code::InvalidFile,
        format!(
            "{} does not begin with a number, so its place is unknown",
            path.display()
        ),
    )
    .hint("name it as in 0001_create_tables.sql, or keep it elsewhere")
}

fn mixed(directory: &Path, one: &str, other: &str) -> Error {
    Error::new(
        Code::InvalidFile,
        format!("{} mixes the layouts of {one} and {other}", directory.display()),
    )
    .hint("keep migrations of one layout in a directory")
}

fn missing(directory: &Path) -> Error {
    let error = Error::new(
        Code::FileNotFound,
        format!("there is no directory {}", directory.display()),
    );
    let drizzle = Path::new("drizzle");
    if drizzle.join(drizzle::JOURNAL).is_file() {
        return error.hint("this folder has migrations of Drizzle: --dir drizzle");
    }
    error.hint("--dir names the directory that the migrations are in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migration_names_have_a_version_and_a_name() {
        for (stem, version, name) in [
            ("0001_create_tables", "0001", "create_tables"),
            ("20240101120000_init", "20240101120000", "init"),
            ("V1.2__add", "1.2", "add"),
            ("V2_1__add_x", "2.1", "add_x"),
            ("V3__", "3", ""),
            ("2_1_x", "2", "1_x"),
            ("7", "7", ""),
            ("3-dash", "3", "dash"),
        ] {
            assert_eq!(split_name(stem), Some((version.into(), name.into())), "{stem}");
        }
        for stem in [
            "schema", "1a_x", "1._x", "", "R__views", "x1_y", "V1_a__x", "V__x", "U1__x",
        ] {
            assert_eq!(split_name(stem), None, "{stem}");
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        let mut versions = [
            "10",
            "2",
            "0001",
            "1.10",
            "1.2",
            "20240101120000",
            "000000000000000000000000000003",
        ];
        versions.sort_by(|one, other| compare_versions(one, other));
        assert_eq!(
            versions,
            [
                "0001",
                "1.2",
                "1.10",
                "2",
                "000000000000000000000000000003",
                "10",
                "20240101120000"
            ]
        );
    }
}
