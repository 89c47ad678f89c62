//! What is told by the words of statements.

use super::*;
use proptest::prelude::*;

#[test]
fn statement_kind_follows_from_its_words() {
    use StatementKind::{Begin, Commit, Other, Pragma, Read, Rollback, RollbackTo, Write};
    for (sql, kind, rows, parameters) in [
        ("select 1", Read, true, false),
        (" ;; -- x\n/* y */ VALUES(?)", Read, true, true),
        (
            "with a(x) as (select ':x') insert into t select * from a",
            Write,
            false,
            false,
        ),
        ("with a as (select 1) select * from a where x=@b", Read, true, true),
        ("insert into t values(1) returning *", Write, true, false),
        ("explain select 1", Other, false, false),
        ("begin immediate", Begin, false, false),
        ("rollback", Rollback, false, false),
        ("rollback transaction to a", RollbackTo, false, false),
        ("rollback to a", RollbackTo, false, false),
        ("end transaction", Commit, false, false),
        ("pragma foreign_keys", Pragma, false, false),
        ("create table [a?](b)", Other, false, false),
    ] {
        let summary = StatementSummary::of(sql).unwrap();
        assert_eq!(
            (summary.kind, summary.may_return_rows(), summary.has_parameters),
            (kind, rows, parameters),
            "{sql}"
        );
    }
    assert_eq!(StatementSummary::of(" ; -- x"), None);
    assert_eq!(StatementSummary::of("\u{feff} select 1").unwrap().start, 4);
    let explained = StatementSummary::of("explain query plan select 1").unwrap();
    assert_eq!(explained.explain, Explain::Plan);
    assert!(explained.is_read_only());
}

#[test]
fn transaction_end_is_told_from_what_does_more() {
    for sql in [
        "COMMIT;",
        " rollback ",
        "end transaction",
        "Rollback Transaction;",
        "/* a */ commit -- b",
    ] {
        assert!(only_ends_transaction(sql), "{sql}");
    }
    for sql in [
        "",
        "select 1",
        "rollback to a",
        "commit; select 1",
        "explain commit",
        "\"commit\"",
        ";commit",
    ] {
        assert!(!only_ends_transaction(sql), "{sql}");
    }
}

#[test]
fn destructive_statement_is_told_from_a_harmless_one() {
    for sql in [
        "drop table t",
        "/* c */ Drop View v;",
        "alter table t add b",
        "delete from t;",
        "update t set a = (select b from u where u.i = t.i)",
        "with x as (select 1 where true) delete from t",
        "delete from t -- where a = 1",
        "update t set a = 'where'",
        "delete from \"where\"",
    ] {
        assert!(destructive_kind(sql).is_some(), "{sql}");
    }
    for sql in [
        "",
        ";",
        "select 1",
        "delete from t where a = 1",
        "update t set a = 1 where b",
        "with x as (select 1) update t set a = 1 where b in x",
        "insert into t values(1) on conflict do update set a = 1",
        "create table t(a references u on delete cascade)",
        "explain delete from t",
        "create trigger r after insert on t begin delete from u; end",
        "with x as (select 1) select * from x",
    ] {
        assert!(destructive_kind(sql).is_none(), "{sql}");
    }
}

#[test]
fn parameters_get_numbers() {
    let names = [
        Some(":a".to_owned()),
        None,
        Some("?3".to_owned()),
        Some("@b".to_owned()),
    ];
    assert_eq!(
        number_parameters("select :a, ?, '?', ?3, @b, :a -- ?", &names),
        "select ?1, ?2, '?', ?3, ?4, ?1 -- ?"
    );
}

proptest! {
    #[test]
    fn classification_of_any_text_succeeds(sql in "\\PC*|[ -~\n]*") {
        if let Some(summary) = StatementSummary::of(&sql) {
            prop_assert!(sql.is_char_boundary(summary.start) && summary.start < sql.len());
        }
        std::hint::black_box((
            number_parameters(&sql, &[]),
            destructive_kind(&sql),
            only_ends_transaction(&sql),
        ));
    }
}
