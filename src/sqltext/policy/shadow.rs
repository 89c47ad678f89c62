//! Judges tables that hold the content of vector indexes. The engine keeps the nodes of an index `x` in the column `data` of the
//! table `x_shadow`, and trusts them: it reads and writes memory by what they say. So nobody else writes that column, in no table
//! of such a name, whether there is an index or not: it may be made later. Whoever has a table of such a name for something else may
//! use its other columns.

use super::expression::Judged;
use super::names::fold;
use super::{Violation, ViolationKind, lists};
use libsql_sqlite3_parser::ast::{
    AlterTableBody, ColumnConstraint, ColumnDefinition, CreateTableBody, InsertBody, Name, NamedTableConstraint, Set,
    TableConstraint, TableOptions, Upsert, UpsertDo,
};

/// What the names of such tables end with.
pub const VECTOR_SHADOW_SUFFIX: &str = "_shadow";

/// The column of the nodes.
pub const VECTOR_SHADOW_COLUMN: &str = "data";

/// Whether a table may hold the content of a vector index. That of the parameters is out of reach altogether.
fn is_shadow(table: &Name) -> bool {
    let name = fold(&table.0);
    name.ends_with(VECTOR_SHADOW_SUFFIX) && *name != *lists::VECTOR_INDEX_TABLE
}

fn refused(table: &Name) -> Judged {
    Err(Violation::new(ViolationKind::VectorShadow, fold(&table.0)))
}

fn is_nodes(column: &Name) -> bool {
    fold(&column.0) == VECTOR_SHADOW_COLUMN
}

/// Judges what an INSERT writes. Without a list of columns, or of rows, it may write all.
pub(super) fn insert(table: &Name, columns: Option<&[Name]>, body: &InsertBody) -> Judged {
    match body {
        // The engine's column has no default, and no other table of such a name has the column.
        InsertBody::DefaultValues => Ok(()),
        InsertBody::Select(_, upsert) => insert_rows(table, columns, upsert.as_ref()),
    }
}

pub(super) fn insert_rows(table: &Name, columns: Option<&[Name]>, upsert: Option<&Upsert>) -> Judged {
    if !is_shadow(table) {
        return Ok(());
    }
    if columns.is_none_or(|columns| columns.iter().any(is_nodes)) {
        return refused(table);
    }
    let mut next = upsert;
    while let Some(clause) = next {
        if let UpsertDo::Set { sets, .. } = &clause.do_clause {
            update(table, sets)?;
        }
        next = clause.next.as_deref();
    }
    Ok(())
}

/// Judges what an UPDATE writes.
pub(super) fn update(table: &Name, sets: &[Set]) -> Judged {
    if is_shadow(table) && sets.iter().any(|set| set.col_names.iter().any(is_nodes)) {
        return refused(table);
    }
    Ok(())
}

/// Judges a new table: the engine would take one of such a name for its own.
pub(super) fn create_table(table: &Name, body: &CreateTableBody) -> Judged {
    if !is_shadow(table) {
        return Ok(());
    }
    match body {
        CreateTableBody::ColumnsAndConstraints { columns, .. }
            if !columns.iter().any(|one| is_nodes(&one.col_name)) =>
        {
            Ok(())
        }
        CreateTableBody::ColumnsAndConstraints { .. } | CreateTableBody::AsSelect(_) => refused(table),
    }
}

/// Judges a change of a table.
pub(super) fn alter_table(table: &Name, change: &AlterTableBody) -> Judged {
    let is_refused = match change {
        AlterTableBody::RenameTo(new) if is_shadow(new) => return refused(new),
        AlterTableBody::RenameTo(_) | AlterTableBody::DropColumn(_) => false,
        AlterTableBody::AddColumn(definition) => is_nodes(&definition.col_name),
        AlterTableBody::AlterColumn { old, cd: definition } => is_nodes(old) || is_nodes(&definition.col_name),
        AlterTableBody::RenameColumn { old, new } => is_nodes(old) || is_nodes(new),
    };
    if is_refused && is_shadow(table) {
        return refused(table);
    }
    Ok(())
}

/// Judges a trigger: what the engine writes itself sets off none.
pub(super) fn create_trigger(table: &Name) -> Judged {
    if is_shadow(table) { refused(table) } else { Ok(()) }
}

/// Whether a table is one that the engine makes for a vector index: a key, the nodes, and nothing that computes.
pub(super) fn is_index_content(table: &Name, body: &CreateTableBody) -> bool {
    let CreateTableBody::ColumnsAndConstraints {
        columns,
        constraints,
        options: TableOptions::NONE,
    } = body
    else {
        return false;
    };
    let is_known = |column: &ColumnDefinition| {
        let name = fold(&column.col_name.0);
        let is_key = *name == *"rowid" || name.starts_with("index_key");
        let is_plain = |constraint: &ColumnConstraint| matches!(constraint, ColumnConstraint::PrimaryKey { .. });
        (is_key || is_nodes(&column.col_name)) && column.constraints.iter().all(|named| is_plain(&named.constraint))
    };
    let is_key = |named: &NamedTableConstraint| {
        matches!(
            named.constraint,
            TableConstraint::PrimaryKey { .. } | TableConstraint::Unique { .. }
        )
    };
    is_shadow(table) && columns.iter().all(is_known) && constraints.iter().flatten().all(is_key)
}

#[cfg(test)]
mod tests {
    use super::super::{ViolationKind, analyze, check_schema_object};

    #[test]
    fn policy_lets_nobody_write_the_nodes_of_vector_indexes() {
        for sql in [
            "insert into i_shadow values (1, x'00')",
            "insert or replace into \"I_Shadow\"(index_key, \"DATA\") values (1, x'00')",
            "replace into [i_shadow] select 1, x'00'",
            "insert into main.i_shadow(index_key) values (1) on conflict do update set index_key = 2, data = x'00'",
            "with a as (select 1) insert into i_shadow select 1, x'00' from a returning data",
            "update i_shadow set data = x'00' where index_key = 1",
            "update i_shadow set (index_key, data) = (select 1, x'00')",
            "explain update 'i_shadow' set index_key = 1, 'data' = zeroblob(9)",
            "create table i_shadow (index_key integer primary key, data blob)",
            "create table if not exists i_shadow (index_key integer , data blob, primary key (index_key))",
            "create table i_shadow as select 1 index_key, x'00' data",
            "alter table t rename to i_shadow",
            "alter table i_shadow add column data blob default x'00'",
            "alter table i_shadow rename column x to data",
            "alter table i_shadow rename column data to x",
            "alter table i_shadow alter column data to data blob default (x'00')",
            "create trigger r after insert on i_shadow begin select 1; end",
            "create trigger r after insert on t begin insert into i_shadow values (1, x'00'); end",
            "create trigger r after insert on t begin update i_shadow set data = x'00'; end",
            "create trigger r instead of update on v begin insert into i_shadow(data) select x'00'; end",
        ] {
            let refusal = analyze(sql).expect_err(sql);
            assert_eq!(refusal.kind(), ViolationKind::VectorShadow, "{sql}: {refusal}");
        }
    }

    #[test]
    fn policy_lets_tables_that_are_called_shadows_have_other_columns() {
        for sql in [
            "select data from i_shadow",
            "delete from i_shadow where index_key = 1",
            "drop table if exists i_shadow",
            "drop index i_shadow_idx",
            "create table drop_shadow (id integer primary key, colour text)",
            "insert into drop_shadow(id, colour) values (1, 'data')",
            "insert into drop_shadow default values",
            "update drop_shadow set colour = (select data from t) where id = 1",
            "alter table drop_shadow add column blur real",
            "create index by_colour on drop_shadow (colour)",
            "create table shadow (data)",
            "insert into shadows values (1)",
        ] {
            analyze(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
        }
    }

    #[test]
    fn policy_takes_vector_index_content_only_as_the_engine_makes_it() {
        for sql in [
            "CREATE TABLE i_shadow (index_key INTEGER , data BLOB, PRIMARY KEY (index_key))",
            "CREATE TABLE i_shadow (rowid INTEGER PRIMARY KEY, index_key TEXT , data BLOB, UNIQUE (index_key))",
        ] {
            check_schema_object(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
        }
        for sql in [
            "CREATE TABLE i_shadow (index_key, data BLOB DEFAULT x'00', PRIMARY KEY (index_key))",
            "CREATE TABLE i_shadow (index_key PRIMARY KEY, data BLOB) WITHOUT ROWID",
            "CREATE TABLE i_shadow (index_key, data AS (x'00'))",
            "CREATE TABLE i_shadow (index_key, data, CHECK (data > 1))",
            "CREATE TABLE i_shadow (index_key REFERENCES t(a) ON UPDATE CASCADE, data)",
            "CREATE TABLE i_shadow (other, data)",
            "CREATE TRIGGER r AFTER INSERT ON i_shadow BEGIN SELECT 1; END",
        ] {
            assert!(check_schema_object(sql).is_err(), "{sql}");
        }
    }
}
