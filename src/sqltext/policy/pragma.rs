//! Judges pragmas: which may be used, what they do, and whether libSQL server runs them for a token that only reads.

use super::lists::{self, PragmaValue};
use super::names::{check_table, fold};
use super::statement::Effect;
use super::{Violation, ViolationKind};
use libsql_sqlite3_parser::ast::{Expr, PragmaBody, QualifiedName};

pub(super) fn judge(name: &QualifiedName, body: Option<&PragmaBody>) -> Result<Effect, Violation> {
    let folded = fold(&name.name.0);
    let value = body.map(|(PragmaBody::Equals(value) | PragmaBody::Call(value))| value);
    if let Some(Expr::Name(table)) = value {
        check_table(&table.0)?;
    }
    let Some(pragma) = lists::find_pragma(&folded) else {
        if lists::contains(lists::ENGINE_REFUSES_PRAGMAS, &folded) {
            // Taken for a write, so that nobody gets more than a refusal for it.
            return Ok(Effect::WRITES);
        }
        return Err(Violation::new(ViolationKind::Pragma, folded));
    };
    let writes = value.is_some() && pragma.value == PragmaValue::Writes;
    Ok(Effect {
        writes,
        changes_schema: false,
        read_needs_full_access: !writes && !pragma.read_by_all,
    })
}
