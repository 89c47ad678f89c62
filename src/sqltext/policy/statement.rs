//! Judges a statement: everything that it names, and what it does.

use super::effect::Effect;
use super::expression::{self, Judged};
use super::names::{check_qualified, check_table, is_vector_index_table};
use super::{Violation, ViolationKind, pragma, shadow, vector_index, virtual_table};
use libsql_sqlite3_parser::ast::{
    AlterTableBody, ColumnConstraint, ColumnDefinition, CreateTableBody, Expr, InsertBody, Name, NamedTableConstraint,
    QualifiedName, Set, Stmt, TableConstraint, TransactionType, TriggerCmd, Upsert, UpsertDo,
};

/// Judges a statement. What libSQL server refuses by its kind, without running it, is let through to be refused there:
/// temporary things, ANALYZE, REINDEX, VACUUM.
pub(super) fn judge(statement: &Stmt) -> Result<Effect, Violation> {
    match statement {
        Stmt::Select(select) => expression::select(select).map(|()| Effect::READS),
        Stmt::Insert { .. } => insert(statement).map(|()| Effect::WRITES),
        Stmt::Update { .. } => update_or_delete(statement).map(|()| Effect::WRITES),
        Stmt::Delete { .. } => update_or_delete(statement).map(|()| Effect {
            adds: false,
            ..Effect::WRITES
        }),
        Stmt::Begin(Some(TransactionType::Immediate | TransactionType::Exclusive), _) => Ok(Effect {
            blocks_writers: true,
            ..Effect::READS
        }),
        Stmt::Begin(..)
        | Stmt::Commit(_)
        | Stmt::Rollback { .. }
        | Stmt::Savepoint(_)
        | Stmt::Release(_)
        | Stmt::Detach(Expr::Id(_) | Expr::Name(_) | Expr::Literal(_)) => Ok(Effect::READS),
        Stmt::Pragma(name, body) => pragma::judge(name, body.as_ref()),
        // The internal tokens of a server open one database.
        Stmt::Attach { .. } => Err(Violation::new(ViolationKind::Statement, "ATTACH")),
        Stmt::Detach(_) => Err(Violation::new(ViolationKind::Statement, "DETACH of an expression")),
        Stmt::Vacuum(_, None) => Ok(Effect::WRITES),
        Stmt::Vacuum(_, Some(_)) => Err(Violation::new(ViolationKind::Statement, "VACUUM INTO")),
        Stmt::Analyze(name) | Stmt::Reindex { obj_name: name } => {
            name.as_ref().map_or(Ok(()), check_qualified)?;
            Ok(Effect::CHANGES_SCHEMA)
        }
        Stmt::DropIndex { .. } | Stmt::DropTable { .. } | Stmt::DropTrigger { .. } | Stmt::DropView { .. } => {
            change_schema(statement).map(|()| Effect {
                adds: false,
                ..Effect::CHANGES_SCHEMA
            })
        }
        // Its values are removed from each row.
        Stmt::AlterTable(_, AlterTableBody::DropColumn(_)) => change_schema(statement).map(|()| Effect {
            adds: false,
            ..Effect::CHANGES_SCHEMA
        }),
        _ => change_schema(statement).map(|()| Effect::CHANGES_SCHEMA),
    }
}

fn insert(statement: &Stmt) -> Judged {
    let Stmt::Insert {
        with,
        or_conflict: _,
        tbl_name,
        columns,
        body,
        returning,
    } = statement
    else {
        return Ok(());
    };
    expression::with(with.as_ref())?;
    expression::results(returning.as_deref())?;
    check_written(&tbl_name.name)?;
    shadow::insert(&tbl_name.name, columns.as_deref(), body)?;
    match body {
        InsertBody::Select(select, upsert) => {
            expression::select(select)?;
            self::upsert(upsert.as_ref())
        }
        InsertBody::DefaultValues => Ok(()),
    }
}

fn update_or_delete(statement: &Stmt) -> Judged {
    match statement {
        Stmt::Update {
            with,
            or_conflict: _,
            tbl_name,
            indexed: _,
            sets,
            from,
            where_clause,
            returning,
            order_by,
            limit,
        } => {
            expression::with(with.as_ref())?;
            check_written(&tbl_name.name)?;
            shadow::update(&tbl_name.name, sets)?;
            set_list(sets)?;
            expression::from(from.as_ref())?;
            expression::optional(where_clause.as_ref())?;
            expression::results(returning.as_deref())?;
            expression::sorted(order_by.as_deref())?;
            expression::limit(limit.as_ref())
        }
        Stmt::Delete {
            with,
            tbl_name,
            indexed: _,
            where_clause,
            returning,
            order_by,
            limit,
        } => {
            expression::with(with.as_ref())?;
            check_qualified(tbl_name)?;
            expression::optional(where_clause.as_ref())?;
            expression::results(returning.as_deref())?;
            expression::sorted(order_by.as_deref())?;
            expression::limit(limit.as_ref())
        }
        _ => Ok(()),
    }
}

/// A table that is written to with what is not known here.
fn check_written(name: &Name) -> Judged {
    check_table(&name.0)?;
    if is_vector_index_table(name) {
        return Err(Violation::new(ViolationKind::Table, super::lists::VECTOR_INDEX_TABLE));
    }
    Ok(())
}

fn set_list(sets: &[Set]) -> Judged {
    sets.iter().try_for_each(|set| expression::expr(&set.expr))
}

fn upsert(upsert: Option<&Upsert>) -> Judged {
    let mut next = upsert;
    while let Some(clause) = next {
        if let Some(index) = &clause.index {
            expression::sorted(Some(&index.targets))?;
            expression::optional(index.where_clause.as_ref())?;
        }
        match &clause.do_clause {
            UpsertDo::Set { sets, where_clause } => {
                set_list(sets)?;
                expression::optional(where_clause.as_ref())?;
            }
            UpsertDo::Nothing => {}
        }
        next = clause.next.as_deref();
    }
    Ok(())
}

fn change_schema(statement: &Stmt) -> Judged {
    match statement {
        Stmt::AlterTable(name, change) => {
            check_written(&name.name)?;
            alter_table(&name.name, change)
        }
        Stmt::CreateIndex {
            unique,
            if_not_exists: _,
            idx_name,
            tbl_name,
            columns,
            where_clause,
        } => {
            check_written(&idx_name.name)?;
            check_written(tbl_name)?;
            expression::optional(where_clause.as_ref())?;
            vector_index::judge(*unique, idx_name, tbl_name, columns)
        }
        Stmt::CreateTable {
            temporary: _,
            if_not_exists: _,
            tbl_name,
            body,
        } => create_table(tbl_name, body),
        Stmt::CreateTrigger {
            temporary: _,
            if_not_exists: _,
            trigger_name: _,
            time: _,
            event: _,
            tbl_name,
            for_each_row: _,
            when_clause,
            commands,
        } => {
            check_written(&tbl_name.name)?;
            shadow::create_trigger(&tbl_name.name)?;
            expression::optional(when_clause.as_ref())?;
            commands.iter().try_for_each(trigger_command)
        }
        Stmt::CreateView {
            temporary: _,
            if_not_exists: _,
            view_name,
            columns: _,
            select,
        } => {
            check_written(&view_name.name)?;
            expression::select(select)
        }
        Stmt::CreateVirtualTable {
            if_not_exists: _,
            tbl_name,
            module_name,
            args,
        } => {
            check_written(&tbl_name.name)?;
            virtual_table::judge(module_name, args.as_deref().unwrap_or_default())
        }
        Stmt::DropIndex {
            if_exists: _,
            idx_name: name,
        }
        | Stmt::DropTable {
            if_exists: _,
            tbl_name: name,
        }
        | Stmt::DropTrigger {
            if_exists: _,
            trigger_name: name,
        }
        | Stmt::DropView {
            if_exists: _,
            view_name: name,
        } => check_qualified(name),
        // The parser has no other; one that is new is refused until it is known.
        _ => Err(Violation::new(ViolationKind::Statement, "this statement")),
    }
}

fn alter_table(table: &Name, change: &AlterTableBody) -> Judged {
    shadow::alter_table(table, change)?;
    match change {
        AlterTableBody::RenameTo(name) => check_written(name),
        AlterTableBody::AddColumn(definition) | AlterTableBody::AlterColumn { old: _, cd: definition } => {
            column(definition)
        }
        AlterTableBody::RenameColumn { old: _, new: _ } | AlterTableBody::DropColumn(_) => Ok(()),
    }
}

fn create_table(name: &QualifiedName, body: &CreateTableBody) -> Judged {
    check_qualified(name)?;
    if is_vector_index_table(&name.name) {
        return vector_index::judge_parameter_table(body);
    }
    shadow::create_table(&name.name, body)?;
    match body {
        CreateTableBody::ColumnsAndConstraints {
            columns,
            constraints,
            options: _,
        } => {
            columns.iter().try_for_each(column)?;
            constraints.iter().flatten().try_for_each(table_constraint)
        }
        CreateTableBody::AsSelect(select) => expression::select(select),
    }
}

fn column(definition: &ColumnDefinition) -> Judged {
    definition
        .constraints
        .iter()
        .try_for_each(|named| match &named.constraint {
            ColumnConstraint::Check(expression)
            | ColumnConstraint::Default(expression)
            | ColumnConstraint::Generated {
                expr: expression,
                typ: _,
            } => expression::expr(expression),
            ColumnConstraint::ForeignKey {
                clause,
                deref_clause: _,
            } => check_table(&clause.tbl_name.0),
            ColumnConstraint::PrimaryKey { .. }
            | ColumnConstraint::NotNull { .. }
            | ColumnConstraint::Unique(_)
            | ColumnConstraint::Defer(_)
            | ColumnConstraint::Collate { .. } => Ok(()),
        })
}

fn table_constraint(named: &NamedTableConstraint) -> Judged {
    match &named.constraint {
        TableConstraint::PrimaryKey { columns, .. } | TableConstraint::Unique { columns, .. } => {
            expression::sorted(Some(columns))
        }
        TableConstraint::Check(expression) => expression::expr(expression),
        TableConstraint::ForeignKey { columns: _, clause, .. } => check_table(&clause.tbl_name.0),
    }
}

fn trigger_command(command: &TriggerCmd) -> Judged {
    match command {
        TriggerCmd::Update {
            or_conflict: _,
            tbl_name,
            sets,
            from,
            where_clause,
        } => {
            check_written(tbl_name)?;
            shadow::update(tbl_name, sets)?;
            set_list(sets)?;
            expression::from(from.as_ref())?;
            expression::optional(where_clause.as_ref())
        }
        TriggerCmd::Insert {
            or_conflict: _,
            tbl_name,
            col_names,
            select,
            upsert,
            returning,
        } => {
            check_written(tbl_name)?;
            shadow::insert_rows(tbl_name, col_names.as_deref(), upsert.as_ref())?;
            expression::select(select)?;
            self::upsert(upsert.as_ref())?;
            expression::results(returning.as_deref())
        }
        TriggerCmd::Delete { tbl_name, where_clause } => {
            check_written(tbl_name)?;
            expression::optional(where_clause.as_ref())
        }
        TriggerCmd::Select(select) => expression::select(select),
    }
}
