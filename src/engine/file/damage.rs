//! What a primary's file looks like from outside: damage that shows without SQLite. What only its pages tell is found when they are
//! copied (`copy`).

use super::stat;
use crate::engine::Damage;
use crate::engine::disk::with_suffix;
use crate::error::Result;
use crate::sqlite_header;
use std::fs::Metadata;
use std::path::Path;

/// What a primary's metadata tells of damage. SQLite would take an empty file for a new database.
pub(super) fn visible_damage(metadata: &Metadata) -> Option<Damage> {
    if !metadata.is_file() {
        Some(Damage::damaged("is not a file"))
    } else if metadata.len() == 0 {
        Some(Damage::damaged("is empty"))
    } else {
        None
    }
}

/// What is wrong with a file that has fewer bytes than its header says, with nothing beside it that has the rest.
pub(super) fn cut_off(path: &Path, header: &[u8; sqlite_header::LENGTH]) -> Result<Option<Damage>> {
    let has = stat(path)?.map_or(0, |metadata| metadata.len());
    let Some(expected) = sqlite_header::expected_size(header).filter(|expected| *expected > has) else {
        return Ok(None);
    };
    for companion in ["-wal", "-journal"] {
        if stat(&with_suffix(path, companion))?.is_some_and(|beside| beside.len() > 0) {
            return Ok(None);
        }
    }
    Ok(Some(Damage::damaged(format!(
        "is cut off: it has {has} of {expected} bytes"
    ))))
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine as _;
    use crate::engine::file::tests::{execute, primary};
    use crate::engine::file::{copy, file, unfinished};
    use crate::error::Code;
    use rusqlite::Connection;

    #[test]
    fn primary_damaged_inside_is_not_copied_over_a_good_replica() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, from, to) = primary(dir.path());
        execute(
            &from,
            "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT randomblob(500) FROM n;
             PRAGMA wal_checkpoint(TRUNCATE)",
        );
        engine.copy(&from, &to).unwrap();
        let sound = std::fs::read(file(&to)).unwrap();
        let mut damaged = std::fs::read(file(&from)).unwrap();
        damaged[20_000..24_096].fill(0xa5);
        std::fs::write(file(&from), &damaged).unwrap();
        for refused in [
            engine.copy(&from, &to),
            copy::snapshot(&from, &dir.path().join("branch.db")),
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.code(), Code::DatabaseDamaged, "{error:?}");
            assert!(
                error.message().contains(&file(&from).display().to_string()),
                "{error:?}"
            );
        }
        assert_eq!(std::fs::read(file(&to)).unwrap(), sound);
        assert!(!unfinished(&to).exists());

        damaged.truncate(100_000);
        std::fs::write(file(&from), &damaged).unwrap();
        let damage = engine.examine(&from).unwrap().unwrap();
        assert!(damage.reason.starts_with("is cut off: it has 100000 of "), "{damage:?}");
        assert_eq!(engine.copy(&from, &to).unwrap_err().code(), Code::DatabaseDamaged);
        assert_eq!(std::fs::read(file(&to)).unwrap(), sound);
    }

    #[test]
    fn primary_with_rows_that_break_a_constraint_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, from, to) = primary(dir.path());
        execute(
            &from,
            "CREATE TABLE c (a CHECK (a > 0)); PRAGMA ignore_check_constraints = on; INSERT INTO c VALUES (-1);
             CREATE TABLE d (a TEXT); INSERT INTO d VALUES (NULL); PRAGMA writable_schema = on;
             UPDATE sqlite_schema SET sql = 'CREATE TABLE d (a TEXT NOT NULL)' WHERE name = 'd'",
        );
        engine.copy(&from, &to).unwrap();
        let said: Vec<String> = Connection::open(file(&to))
            .unwrap()
            .prepare("PRAGMA integrity_check")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(said.contains(&"NULL value in d.a".to_owned()), "{said:?}");
    }

    #[test]
    fn primary_whose_schema_needs_its_application_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, from, to) = primary(dir.path());
        let application = Connection::open(file(&from)).unwrap();
        application
            .create_collation("mine", |a: &str, b: &str| a.cmp(b))
            .unwrap();
        application
            .create_scalar_function(
                "regexp",
                2,
                rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC,
                |_| Ok(true),
            )
            .unwrap();
        application
            .execute_batch(
                "CREATE TABLE a (x CHECK (x REGEXP 'y')); INSERT INTO a VALUES ('y');
                 CREATE TABLE b (x COLLATE mine); CREATE INDEX b_x ON b (x); INSERT INTO b VALUES ('y'), ('x')",
            )
            .unwrap();
        engine.copy(&from, &to).unwrap();
        copy::snapshot(&from, &dir.path().join("branch.db")).unwrap();
    }
}
