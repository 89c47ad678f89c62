//! Migrations: SQL files that are applied to a database in order, each once.
//!
//! `load` reads a directory in the layouts that people have, `record` keeps in the database what was applied, `foreign` reads
//! the records of other tools, `plan` compares both with the files, and `apply` runs what is missing. Which databases are
//! migrated, and who is told of it, is left to the commands.

mod apply;
mod atlas;
mod drizzle;
mod foreign;
mod load;
mod plan;
mod record;
mod sections;
mod text;

pub use apply::{MigrateOutcome, migrate, preview};
pub use load::load;
pub use plan::MigrationPlan;

use crate::checksum;
use crate::error::{Code, Error, Result};
use crate::sql::parsed_script::ParsedScript;
use std::path::PathBuf;
use std::sync::OnceLock;

/// How a directory of migrations is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationLayout {
    /// `0001_name.sql`, as sqlx, Wrangler and Flyway have them too.
    Plain,
    /// `0001_name.up.sql` beside `0001_name.down.sql`: sqlx, golang-migrate.
    Reversible,
    /// `-- +goose Up` and `-- +goose Down` within a file.
    Goose,
    /// `-- +migrate Up` and `-- +migrate Down` within a file: sql-migrate.
    SqlMigrate,
    /// `-- migrate:up` and `-- migrate:down` within a file.
    Dbmate,
    /// `meta/_journal.json` lists the files.
    Drizzle,
    /// `atlas.sum` has their checksums.
    Atlas,
    /// `20240101120000_name/migration.sql`: Prisma.
    Folders,
}

impl MigrationLayout {
    /// Its name in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Reversible => "reversible",
            Self::Goose => "goose",
            Self::SqlMigrate => "sql-migrate",
            Self::Dbmate => "dbmate",
            Self::Drizzle => "drizzle",
            Self::Atlas => "atlas",
            Self::Folders => "folders",
        }
    }
}

/// The migrations of a directory, in the order in which they are applied.
#[derive(Debug)]
pub struct MigrationSet {
    pub layout: MigrationLayout,
    pub migrations: Vec<Migration>,
    /// Sentences about files that were left out.
    pub ignored: Vec<String>,
}

/// A migration.
#[derive(Debug)]
pub struct Migration {
    /// What it is recorded by, unique within its directory: for most layouts the number that its file's name begins with.
    pub version: String,
    /// The rest of the file's name.
    pub name: String,
    /// The file, for errors.
    pub path: PathBuf,
    /// SHA-256, in hexadecimal, of the file with `\n` as line ends: what a checkout makes of line ends is no change.
    pub checksum: String,
    layout: MigrationLayout,
    text: String,
    /// Of an entry of Drizzle's journal: its time.
    drizzle_when: Option<i64>,
    script: OnceLock<ParsedScript>,
}

impl Migration {
    fn new(layout: MigrationLayout, version: String, name: String, path: PathBuf, text: String) -> Self {
        Self {
            version,
            name,
            checksum: checksum_of(&text.replace("\r\n", "\n")),
            path,
            layout,
            text,
            drizzle_when: None,
            script: OnceLock::new(),
        }
    }

    /// The file as errors name it.
    #[must_use]
    pub fn file(&self) -> String {
        self.path.display().to_string()
    }

    /// `0001_name`.
    #[must_use]
    pub fn title(&self) -> String {
        match (self.name.as_str(), self.layout) {
            ("", _) | (_, MigrationLayout::Drizzle) => self.version.clone(),
            (name, _) => format!("{}_{name}", self.version),
        }
    }

    /// The statements that it runs. Fails with `invalid_file` or `unsupported`, which name file and line, where the file is not
    /// what its layout wants.
    pub fn script(&self) -> Result<&ParsedScript> {
        if let Some(script) = self.script.get() {
            return Ok(script);
        }
        let file = self.file();
        let parts = match self.layout {
            MigrationLayout::Goose => sections::goose(&file, &self.text, sections::GOOSE)?,
            MigrationLayout::SqlMigrate => sections::goose(&file, &self.text, sections::SQL_MIGRATE)?,
            MigrationLayout::Dbmate => sections::dbmate(&file, &self.text)?,
            MigrationLayout::Drizzle => sections::drizzle(&self.text),
            MigrationLayout::Atlas => sections::atlas(&file, &self.text)?,
            MigrationLayout::Plain | MigrationLayout::Reversible | MigrationLayout::Folders => {
                sections::plain(&file, &self.text)?
            }
        };
        let script = ParsedScript::parse_parts(&file, self.text.clone(), &parts)?.without_own_transaction()?;
        Ok(self.script.get_or_init(|| script))
    }

    /// Whether a version that somebody typed means this one: whole, without leading zeros, or with the name.
    fn answers_to(&self, version: &str) -> bool {
        self.version == version || self.title() == version || same_number(&self.version, version)
    }
}

impl MigrationSet {
    /// The migration that a user names. Fails with `invalid_value` where there is none.
    pub fn find(&self, version: &str) -> Result<usize> {
        let position = self.migrations.iter().position(|found| found.answers_to(version));
        position.ok_or_else(|| {
            let last = self.migrations.last().map(Migration::title).unwrap_or_default();
            Error::new(Code::InvalidValue, format!("there is no migration {version:?}"))
                .hint(format!("name a version that the directory has; the last one is {last}"))
        })
    }
}

/// Whether two versions begin with the same number: `3` and `0003`, also `3` and `0003_name`.
fn same_number(version: &str, typed: &str) -> bool {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        (end > 0).then(|| text[..end].trim_start_matches('0').to_owned())
    };
    typed.bytes().all(|byte| byte.is_ascii_digit()) && digits(typed).is_some() && digits(version) == digits(typed)
}

fn checksum_of(text: &str) -> String {
    checksum::sha256_of(text.as_bytes())
}

#[cfg(test)]
mod tests;
