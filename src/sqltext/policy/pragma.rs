//! Judges pragmas: which may be used, what they do, and whether libSQL server runs them for a token that only reads.

use super::effect::Effect;
use super::lists::{self, PragmaValue};
use super::names::{check_table, fold};
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
            return Ok(Effect::ENGINE_REFUSES);
        }
        return Err(Violation::new(ViolationKind::Pragma, folded));
    };
    Ok(match (value, pragma.value) {
        (Some(_), PragmaValue::Writes) => Effect::WRITES,
        (Some(_), PragmaValue::EngineRefuses) => Effect::ENGINE_REFUSES,
        _ => Effect {
            read_needs_full_access: !pragma.read_by_all,
            ..Effect::READS
        },
    })
}
