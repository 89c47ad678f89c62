//! The file of a declared state: TOML, with a table for each group and each database.

use super::table::{SourceFile, StrictTable};
use super::{DeclaredDatabase, DeclaredGroup, DeclaredScope, DeclaredSeed, DeclaredState};
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::sizes::Size;
use crate::control::types::{ConfigurationPatch, NewLocation};
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::path::Path;
use toml_edit::Document;

/// Reads a file's text. `file` is its path, from whose folder paths in it are taken.
///
/// Fails with `invalid_file`, which names line and key, where anything in it cannot be understood.
pub fn parse(file: &Path, text: &str) -> Result<DeclaredState> {
    let name = file.display().to_string();
    let source = SourceFile {
        name: &name,
        text,
        lines: RefCell::default(),
    };
    let document = Document::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        let why = error.message().lines().next().unwrap_or_default().to_owned();
        source.invalid(source.line_of(at), &format!("this is not TOML: {why}"))
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let root = StrictTable::root(&source, document.as_table());
    let mut state = DeclaredState {
        file: name.clone(),
        scope: match root.table("scope")? {
            Some(table) => scope(table)?,
            None => DeclaredScope::default(),
        },
        ..DeclaredState::default()
    };
    for (code, table) in root.named_tables("locations")? {
        state.locations.push(location(code, table, folder)?);
    }
    for (name, table) in root.named_tables("groups")? {
        state.groups.insert(name, group(table)?);
    }
    for (name, table) in root.named_tables("databases")? {
        let declared = database(&name, table, folder)?;
        state.databases.insert(name, declared);
    }
    root.finish()?;
    state.lines = source.lines.take();
    Ok(state)
}

fn scope(table: StrictTable<'_>) -> Result<DeclaredScope> {
    let patterns: Vec<Pattern> = table.list("databases")?.unwrap_or_default();
    let scope = DeclaredScope {
        databases: patterns.into_iter().map(|pattern| pattern.0).collect(),
        groups: table.list("groups")?.unwrap_or_default().into_iter().collect(),
    };
    table.finish()?;
    Ok(scope)
}

/// A pattern of names, which any text is.
#[derive(PartialEq)]
struct Pattern(String);

impl std::str::FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(Self(text.to_owned()))
    }
}

fn location(code: LocationCode, table: StrictTable<'_>, folder: &Path) -> Result<NewLocation> {
    let description: Option<Pattern> = table.text("name")?;
    let dir: Option<Pattern> = table.text("dir")?;
    let new = NewLocation {
        description: description.map_or_else(|| code.to_string(), |text| text.0),
        code,
        dir: dir.map(|path| folder.join(path.0)),
        lat: table.number("lat")?,
        lon: table.number("lon")?,
    };
    table.finish()?;
    Ok(new)
}

fn group(table: StrictTable<'_>) -> Result<DeclaredGroup> {
    let locations: Option<Vec<LocationCode>> = table.list("locations")?;
    if locations.as_ref().is_some_and(Vec::is_empty) {
        return Err(table.invalid("locations", "a group has at least one location"));
    }
    let declared = DeclaredGroup {
        line: table.line,
        locations,
        delete_protection: table.boolean("delete_protection")?,
        isolation: table.text("isolation")?,
    };
    table.finish()?;
    Ok(declared)
}

fn database(name: &DatabaseName, table: StrictTable<'_>, folder: &Path) -> Result<DeclaredDatabase> {
    let location: Option<LocationCode> = table.text("location")?;
    let replicas: Option<Vec<LocationCode>> = table.list("replicas")?;
    if let (Some(location), Some(replicas)) = (&location, &replicas)
        && replicas.contains(location)
    {
        return Err(table.invalid("replicas", &format!("{location} has the primary")));
    }
    let size_limit: Option<Size> = table.text("size_limit")?;
    let seed = match table.table("seed")? {
        Some(table) => Some(seed(name, table, folder)?),
        None => None,
    };
    let declared = DeclaredDatabase {
        line: table.line,
        group: table.text("group")?,
        location,
        replicas: replicas.map(|replicas| replicas.into_iter().collect()),
        configuration: ConfigurationPatch {
            size_limit: size_limit.map(|size| size.0.to_string()),
            allow_attach: None,
            block_reads: table.boolean("block_reads")?,
            block_writes: table.boolean("block_writes")?,
            delete_protection: table.boolean("delete_protection")?,
            expires_at: table.time("expires_at")?,
            branched_at: None,
        },
        seed,
    };
    table.finish()?;
    Ok(declared)
}

fn seed(name: &DatabaseName, table: StrictTable<'_>, folder: &Path) -> Result<DeclaredSeed> {
    let path = |key| -> Result<_> {
        let path: Option<Pattern> = table.text(key)?;
        Ok(path.map(|path| folder.join(path.0)))
    };
    let database: Option<DatabaseName> = table.text("database")?;
    if database.as_ref() == Some(name) {
        return Err(table.invalid("database", "a database cannot start with itself"));
    }
    let kinds = [
        path("file")?.map(DeclaredSeed::File),
        path("dump")?.map(DeclaredSeed::Dump),
        path("csv")?.map(DeclaredSeed::Csv),
        database.map(DeclaredSeed::Database),
    ];
    let mut kinds = kinds.into_iter().flatten();
    let only = match (kinds.next(), kinds.next()) {
        (Some(only), None) => only,
        _ => {
            let error = table.invalid_itself("one of file, dump, csv and database is wanted");
            return Err(error.hint("seed = { dump = \"schema.sql\" }"));
        }
    };
    table.finish()?;
    Ok(only)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn read(text: &str) -> Result<DeclaredState> {
        parse(Path::new("here/torso.toml"), text)
    }

    #[test]
    fn declared_file_is_read_whole() {
        let state = read(
            "scope = { databases = [\"shop-*\"], groups = [\"shop\"] }\n\
             [locations.nas]\nname = \"Cellar\"\nlat = 52\nlon = 4.5\n\
             [groups.shop]\nlocations = [\"ams\", \"lhr\"]\ndelete_protection = true\n\
             [databases.shop-eu]\ngroup = \"shop\"\nreplicas = [\"nrt\"]\nsize_limit = \"64mb\"\n\
             seed = { dump = \"schema.sql\" }\n\
             [databases]\nplain = {}\n",
        )
        .unwrap();
        assert_eq!(state.scope.databases, ["shop-*"]);
        assert_eq!(
            (state.locations[0].lat, state.locations[0].lon),
            (Some(52.0), Some(4.5))
        );
        let database = &state.databases[&"shop-eu".parse().unwrap()];
        assert_eq!(database.configuration.size_limit.as_deref(), Some("67108864"));
        assert_eq!(database.seed, Some(DeclaredSeed::Dump("here/schema.sql".into())));
        assert_eq!(database.line, 9);
        assert_eq!(state.databases.len(), 2);
    }

    #[test]
    fn declared_file_that_is_wrong_names_line_and_key() {
        for (text, message, hint) in [
            (
                "[groups.a]\nlocation = [\"ams\"]",
                "2: groups.a.location: there is no such key",
                "locations",
            ),
            (
                "[databases.a]\nreplica = [\"ams\"]",
                "2: databases.a.replica: there is no such key",
                "replicas",
            ),
            (
                "[databases.a]\nzebra = 1",
                "2: databases.a.zebra: there is no such key",
                "keys here are",
            ),
            ("[database.a]\n", "1: database: there is no such key", "databases"),
            (
                "\n[databases.A_b]\n",
                "2: databases.A_b: \"A_b\" is not a database name",
                "a-z",
            ),
            (
                "[databases.a]\nsize_limit = 5",
                "2: databases.a.size_limit: a text in quotes",
                "",
            ),
            (
                "[databases.a]\nsize_limit = \"5x\"",
                "2: databases.a.size_limit: \"5x\" is not a size",
                "64mb",
            ),
            (
                "[databases.a]\nblock_reads = \"on\"",
                "2: databases.a.block_reads: true or false",
                "",
            ),
            (
                "[databases.a]\nreplicas = \"ams\"",
                "2: databases.a.replicas: a list",
                "",
            ),
            (
                "[databases.a]\nreplicas = [\"ams\", \"ams\"]",
                "2: databases.a.replicas: ams stands there twice",
                "",
            ),
            (
                "[databases.a]\nlocation = \"ams\"\nreplicas = [\"ams\"]",
                "3: databases.a.replicas: ams has",
                "",
            ),
            ("[databases.a]\nseed = {}", "2: databases.a.seed", "schema.sql"),
            (
                "[databases.a]\nseed = { file = \"x\", csv = \"y\" }",
                "2: databases.a.seed",
                "schema.sql",
            ),
            (
                "[databases.a]\nseed = { database = \"a\" }",
                "2: databases.a.seed.database: a database cannot",
                "",
            ),
            (
                "[databases.a]\nexpires_at = \"soon\"",
                "2: databases.a.expires_at: \"soon\" is no time",
                "never",
            ),
            (
                "[databases.a]\nexpires_at = 2030-01-31T00:00:00",
                "2: databases.a.expires_at: \"2030-01-31T00:00:00\" is no time with its zone",
                "never",
            ),
            (
                "[groups.a]\nlocations = []",
                "2: groups.a.locations: a group has at least one",
                "",
            ),
            (
                "[groups.a]\nisolation = \"x\"",
                "2: groups.a.isolation: \"x\" is not a kind",
                "database",
            ),
            ("databases = 5", "1: databases: a table is wanted", ""),
            ("[databases.a]\ngroup = ", "2: this is not TOML", ""),
            ("[databases.a]\n[databases.a]\n", "2: this is not TOML", ""),
        ] {
            let error = read(text).unwrap_err();
            let expected = format!("here/torso.toml:{message}");
            assert!(error.message().starts_with(&expected), "{text:?}: {error}");
            assert!(
                error.hint_text().unwrap_or_default().contains(hint),
                "{text:?}: {:?}",
                error.hint_text()
            );
            assert_eq!(error.code(), Code::InvalidFile);
        }
    }
}
