//! What may stand in statements about the schema: `CREATE`, `DROP`, `ALTER` and their kin.

use super::Expectation::{self, ColumnsOf, Keywords, Tables};
use super::{in_definition, operand};
use crate::shell::editor::complete::statement::Item;

/// `CREATE`, `DROP`, `ALTER` and other statements about the schema; none for the rest.
pub fn of_schema(
    here: &[&Item<'_>],
    last: &Item<'_>,
    before: Option<&Item<'_>>,
    first: &Item<'_>,
) -> Option<Vec<Expectation>> {
    let has = |word: &str| here.iter().any(|item| item.is(word));
    if first.is("DROP") {
        return in_drop(here, last);
    }
    if first.is("ALTER") && here.len() >= 2 {
        return Some(in_alter(here));
    }
    if first.is("CREATE")
        && !has("SELECT")
        && let Some(wanted) = in_create(here, last)
    {
        return Some(wanted);
    }
    if first.is_any(&["REINDEX", "ANALYZE"]) && here.len() == 1 {
        return Some(vec![Tables, Expectation::Indexes, Expectation::Schemas]);
    }
    if first.is("DETACH") {
        return Some(vec![Expectation::Schemas, Keywords(&["DATABASE"])]);
    }
    if first.is("VACUUM") {
        return Some(vec![Expectation::Schemas, Keywords(&["INTO"])]);
    }
    if last.is("WITH") && before.is_none() {
        return Some(vec![Keywords(&["RECURSIVE"])]);
    }
    // After the queries that `WITH` names.
    if first.is("WITH") && last.sign(")") && !has("SELECT") && !has("INSERT") && !has("UPDATE") && !has("DELETE") {
        return Some(vec![Keywords(&["SELECT", "INSERT", "UPDATE", "DELETE", "AS"])]);
    }
    None
}

/// In `DROP`: what kind of object, and which.
fn in_drop(here: &[&Item<'_>], last: &Item<'_>) -> Option<Vec<Expectation>> {
    let object = here.get(1)?;
    if last.is("IF") {
        return Some(vec![Keywords(&["EXISTS"])]);
    }
    let names = if object.is("TABLE") {
        Tables
    } else if object.is("VIEW") {
        Expectation::Views
    } else if object.is("INDEX") {
        Expectation::Indexes
    } else if object.is("TRIGGER") {
        Expectation::Triggers
    } else {
        return None;
    };
    Some(match here.len() {
        2 => vec![names, Keywords(&["IF"])],
        _ if last.is("EXISTS") => vec![names],
        _ => Vec::new(),
    })
}

/// In `ALTER TABLE`.
fn in_alter(here: &[&Item<'_>]) -> Vec<Expectation> {
    match here {
        [_, _] => vec![Tables],
        [_, _, _] => vec![Keywords(&["RENAME", "ADD", "DROP"])],
        [_, _, table, verb] if verb.is("RENAME") => vec![Keywords(&["TO", "COLUMN"]), ColumnsOf(table.name())],
        [_, _, table, verb] if verb.is("DROP") => vec![Keywords(&["COLUMN"]), ColumnsOf(table.name())],
        [_, _, _, verb] if verb.is("ADD") => vec![Keywords(&["COLUMN"])],
        [_, _, table, verb, word] if word.is("COLUMN") && !verb.is("ADD") => vec![ColumnsOf(table.name())],
        [_, _, _, verb, .., word] if verb.is("RENAME") && !word.is("TO") => vec![Keywords(&["TO"])],
        [_, _, _, verb, rest @ ..] if verb.is("ADD") => {
            let rest = if rest.first().is_some_and(|word| word.is("COLUMN")) {
                &rest[1..]
            } else {
                rest
            };
            if rest.is_empty() {
                Vec::new()
            } else {
                in_definition(rest)
            }
        }
        _ => Vec::new(),
    }
}

/// In `CREATE`, before the query of a view or a table.
fn in_create(here: &[&Item<'_>], last: &Item<'_>) -> Option<Vec<Expectation>> {
    let has = |word: &str| here.iter().any(|item| item.is(word));
    if last.is("ON") {
        return Some(vec![Tables]);
    }
    if has("TRIGGER") && !has("ON") && here.len() > 2 {
        return Some(match last {
            word if word.is("TRIGGER") => vec![Keywords(&["IF"])],
            word if word.is_any(&["INSERT", "DELETE", "UPDATE"]) => vec![Keywords(&["ON", "OF"])],
            word if word.is_any(&["BEFORE", "AFTER", "OF"]) => vec![Keywords(&["INSERT", "UPDATE", "DELETE"])],
            word if word.is("INSTEAD") => vec![Keywords(&["OF"])],
            _ => vec![Keywords(&["BEFORE", "AFTER", "INSTEAD", "INSERT", "UPDATE", "DELETE"])],
        });
    }
    if has("TRIGGER") && has("ON") {
        return Some(match last {
            word if word.is("WHEN") => operand(),
            word if word.is("FOR") => vec![Keywords(&["EACH"])],
            word if word.is("EACH") => vec![Keywords(&["ROW"])],
            _ => vec![Keywords(&["BEGIN", "FOR", "WHEN"])],
        });
    }
    if last.is_any(&["TABLE", "VIEW", "INDEX", "TRIGGER"]) {
        return Some(vec![Keywords(&["IF"])]);
    }
    if last.sign(")") {
        return Some(if has("INDEX") {
            vec![Keywords(&["WHERE"])]
        } else {
            vec![Keywords(&["WITHOUT", "STRICT"])]
        });
    }
    if last.names() && !has("WHERE") {
        return Some(match () {
            () if has("INDEX") => vec![Keywords(&["ON"])],
            () if has("VIRTUAL") => vec![Keywords(&["USING"])],
            () => vec![Keywords(&["AS"])],
        });
    }
    if last.is("AS") {
        return Some(vec![Keywords(&["SELECT", "WITH", "VALUES"])]);
    }
    None
}
