//! Walks expressions and queries, and looks up every table and function in them.

use super::Violation;
use super::names::{check_function, check_qualified, check_table};
use libsql_sqlite3_parser::ast::{
    Expr, FrameBound, FromClause, FunctionTail, JoinConstraint, LikeOperator, Limit, OneSelect, Over, ResultColumn,
    Select, SelectTable, SortedColumn, Window, With,
};

pub(super) type Judged = Result<(), Violation>;

pub(super) fn select(select: &Select) -> Judged {
    with(select.with.as_ref())?;
    one_select(&select.body.select)?;
    for compound in select.body.compounds.iter().flatten() {
        one_select(&compound.select)?;
    }
    sorted(select.order_by.as_deref())?;
    limit(select.limit.as_ref())
}

pub(super) fn with(with: Option<&With>) -> Judged {
    for table in with.iter().flat_map(|with| &with.ctes) {
        check_table(&table.tbl_name.0)?;
        select(&table.select)?;
    }
    Ok(())
}

fn one_select(body: &OneSelect) -> Judged {
    match body {
        OneSelect::Select {
            distinctness: _,
            columns,
            from: tables,
            where_clause,
            group_by,
            window_clause,
        } => {
            results(Some(columns))?;
            from(tables.as_ref())?;
            optional(where_clause.as_ref())?;
            if let Some(group) = group_by {
                all(&group.exprs)?;
                optional(group.having.as_ref())?;
            }
            window_clause
                .iter()
                .flatten()
                .try_for_each(|definition| window(&definition.window))
        }
        OneSelect::Values(rows) => rows.iter().try_for_each(|row| all(row)),
    }
}

pub(super) fn results(columns: Option<&[ResultColumn]>) -> Judged {
    columns.into_iter().flatten().try_for_each(|column| match column {
        ResultColumn::Expr(expression, _) => expr(expression),
        ResultColumn::Star | ResultColumn::TableStar(_) => Ok(()),
    })
}

pub(super) fn from(tables: Option<&FromClause>) -> Judged {
    let Some(tables) = tables else { return Ok(()) };
    if let Some(first) = &tables.select {
        table(first)?;
    }
    for join in tables.joins.iter().flatten() {
        table(&join.table)?;
        match &join.constraint {
            Some(JoinConstraint::On(condition)) => expr(condition)?,
            Some(JoinConstraint::Using(_)) | None => {}
        }
    }
    Ok(())
}

fn table(table: &SelectTable) -> Judged {
    match table {
        SelectTable::Table(name, _, _) => check_qualified(name),
        SelectTable::TableCall(name, args, _) => {
            check_qualified(name)?;
            args.as_deref().map_or(Ok(()), all)
        }
        SelectTable::Select(inner, _) => select(inner),
        SelectTable::Sub(inner, _) => from(Some(inner)),
    }
}

pub(super) fn sorted(columns: Option<&[SortedColumn]>) -> Judged {
    columns.into_iter().flatten().try_for_each(|column| expr(&column.expr))
}

pub(super) fn limit(limit: Option<&Limit>) -> Judged {
    let Some(limit) = limit else { return Ok(()) };
    expr(&limit.expr)?;
    optional(limit.offset.as_ref())
}

pub(super) fn optional(expression: Option<&Expr>) -> Judged {
    expression.map_or(Ok(()), expr)
}

pub(super) fn all(expressions: &[Expr]) -> Judged {
    expressions.iter().try_for_each(expr)
}

pub(super) fn expr(expression: &Expr) -> Judged {
    match expression {
        Expr::Between {
            lhs,
            not: _,
            start,
            end,
        } => {
            expr(lhs)?;
            expr(start)?;
            expr(end)
        }
        Expr::Binary(left, _, right) => {
            expr(left)?;
            expr(right)
        }
        Expr::Case {
            base,
            when_then_pairs,
            else_expr,
        } => {
            optional(base.as_deref())?;
            for (when, then) in when_then_pairs {
                expr(when)?;
                expr(then)?;
            }
            optional(else_expr.as_deref())
        }
        Expr::Cast {
            expr: inner,
            type_name: _,
        }
        | Expr::Collate(inner, _) => expr(inner),
        Expr::Exists(inner) | Expr::Subquery(inner) => select(inner),
        Expr::FunctionCall {
            name,
            distinctness: _,
            args,
            filter_over,
        } => call(&name.0, args.as_deref(), filter_over.as_ref()),
        Expr::FunctionCallStar { name, filter_over } => call(&name.0, None, filter_over.as_ref()),
        Expr::Like {
            lhs,
            not: _,
            op,
            rhs,
            escape,
        } => {
            check_function(operator_function(*op))?;
            expr(lhs)?;
            expr(rhs)?;
            optional(escape.as_deref())
        }
        Expr::InList { lhs, not: _, rhs } => {
            expr(lhs)?;
            rhs.as_deref().map_or(Ok(()), all)
        }
        Expr::InSelect { lhs, not: _, rhs } => {
            expr(lhs)?;
            select(rhs)
        }
        Expr::InTable { lhs, not: _, rhs, args } => {
            expr(lhs)?;
            check_qualified(rhs)?;
            args.as_deref().map_or(Ok(()), all)
        }
        Expr::IsNull(inner) | Expr::NotNull(inner) | Expr::Unary(_, inner) => expr(inner),
        Expr::Parenthesized(inner) => all(inner),
        Expr::DoublyQualified(..)
        | Expr::Id(_)
        | Expr::Literal(_)
        | Expr::Name(_)
        | Expr::Qualified(..)
        | Expr::Raise(..)
        | Expr::Variable(_) => Ok(()),
    }
}

fn call(function: &str, args: Option<&[Expr]>, over: Option<&FunctionTail>) -> Judged {
    check_function(function)?;
    args.map_or(Ok(()), all)?;
    tail(over)
}

/// The function that an operator calls.
fn operator_function(operator: LikeOperator) -> &'static str {
    match operator {
        LikeOperator::Glob => "glob",
        LikeOperator::Like => "like",
        LikeOperator::Match => "match",
        LikeOperator::Regexp => "regexp",
    }
}

fn tail(tail: Option<&FunctionTail>) -> Judged {
    let Some(tail) = tail else { return Ok(()) };
    optional(tail.filter_clause.as_deref())?;
    match tail.over_clause.as_deref() {
        Some(Over::Window(definition)) => window(definition),
        Some(Over::Name(_)) | None => Ok(()),
    }
}

fn window(window: &Window) -> Judged {
    window.partition_by.as_deref().map_or(Ok(()), all)?;
    sorted(window.order_by.as_deref())?;
    let Some(frame) = &window.frame_clause else {
        return Ok(());
    };
    for bound in std::iter::once(&frame.start).chain(&frame.end) {
        match bound {
            FrameBound::Following(distance) | FrameBound::Preceding(distance) => expr(distance)?,
            FrameBound::CurrentRow | FrameBound::UnboundedFollowing | FrameBound::UnboundedPreceding => {}
        }
    }
    Ok(())
}
