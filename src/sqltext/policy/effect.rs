//! What a statement does, as far as its kind tells. Who may run it is for [`Policy`](super::Policy) to say.

/// What a statement does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effect {
    pub writes: bool,
    /// Writes in another way than by removing.
    pub adds: bool,
    pub changes_schema: bool,
    pub read_needs_full_access: bool,
    /// Keeps everybody else from writing, although it writes nothing itself.
    pub blocks_writers: bool,
    /// libSQL server refuses to run it, but SQLite would act on it as soon as it is prepared.
    pub engine_refuses: bool,
}

impl Effect {
    pub const READS: Self = Self {
        writes: false,
        adds: false,
        changes_schema: false,
        read_needs_full_access: false,
        blocks_writers: false,
        engine_refuses: false,
    };
    pub const WRITES: Self = Self {
        writes: true,
        adds: true,
        ..Self::READS
    };
    pub const CHANGES_SCHEMA: Self = Self {
        writes: true,
        adds: true,
        changes_schema: true,
        ..Self::READS
    };
    /// No write, whoever asks: libSQL server looks at the kind of a statement before it looks at the token.
    pub const ENGINE_REFUSES: Self = Self {
        engine_refuses: true,
        ..Self::READS
    };
}

#[cfg(test)]
mod tests {
    use super::super::analyze;

    #[test]
    fn policy_sees_writes_behind_explain_and_common_tables() {
        for sql in [
            "insert into t values (1)",
            " -- select\n/* select */ INSERT INTO t DEFAULT VALUES",
            "replace into t values (1)",
            "with a as (select 1) insert into t select * from a",
            "with a(x) as (values (1)), replace as (select 2) replace into t select * from a",
            "select 1; ;update t set x = 1",
            "create trigger r after insert on t begin select 1; end",
            "create unique index i on t (x)",
            "explain insert into t values (1)",
            "explain query plan delete from t",
            "create temp table u (x)",
            "vacuum",
            "analyze",
            "reindex t",
        ] {
            assert!(analyze(sql).unwrap().writes, "{sql}");
        }
        for sql in [
            "",
            ";",
            "select 'insert into t'",
            "select replace('a', 'b', 'c')",
            "with replace as (select 1) select * from replace",
            "with a as (select 1) values (1)",
            "begin immediate",
            "begin readonly",
            "savepoint update_it",
            "release update_it",
            "commit; rollback; end",
            "detach o",
        ] {
            assert!(!analyze(sql).unwrap().writes, "{sql}");
        }
    }

    #[test]
    fn policy_effect_of_a_removal_adds_nothing() {
        for sql in [
            "delete from t",
            "with c as (select 1) delete from t where x in (select * from c)",
            "drop table t",
            "drop index if exists i",
            "drop view v; drop trigger r",
            "select 1",
            "begin; delete from t; commit",
        ] {
            assert!(!analyze(sql).unwrap().adds, "{sql}");
        }
        for sql in [
            "insert into t values (1)",
            "update t set x = 1",
            "replace into t values (1)",
            "delete from t; insert into t values (1)",
            "create table t (x)",
            "create index i on t (x)",
            "alter table t add column y",
            "explain insert into t values (1)",
        ] {
            assert!(analyze(sql).unwrap().adds, "{sql}");
        }
    }
}
