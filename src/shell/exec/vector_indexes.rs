//! Vector indexes in scripts for servers. A dump has their content as rows, which a server takes from nobody: it makes it anew from
//! the indexed table, with the statement that makes the index.

use crate::shell::state::script::ScriptTranslation;
use crate::sqltext::quote::unquote;
use crate::sqltext::token::{TokenKind, significant_tokens};

/// Where libSQL keeps the parameters of vector indexes, by name.
const PARAMETERS: &str = "libsql_vector_meta_shadow";

/// Whether what makes, fills or indexes something called `name` is about the content of a vector index of the script.
pub fn is_content(translation: &ScriptTranslation, name: &str) -> bool {
    let belongs = |index: &String| {
        ["_shadow", "_shadow_idx"]
            .iter()
            .any(|end| name.eq_ignore_ascii_case(&format!("{index}{end}")))
    };
    name.eq_ignore_ascii_case(PARAMETERS) || translation.vector_indexes.iter().any(belongs)
}

/// Notes the vector indexes whose parameters such a statement has.
pub fn note(translation: &mut ScriptTranslation, name: &str, sql: &str) {
    if name.eq_ignore_ascii_case(PARAMETERS) {
        translation.vector_indexes.extend(names_of_rows(sql));
    }
}

/// The first value of each row of an INSERT, where it is a text.
fn names_of_rows(sql: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut opens = false;
    let values = significant_tokens(sql).skip_while(|(_, text)| !text.eq_ignore_ascii_case("VALUES"));
    for (kind, text) in values {
        if opens && kind == TokenKind::String {
            names.push(unquote(text).into_owned());
        }
        opens = text == "(";
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_indexes_of_a_dump_are_named_by_their_parameters() {
        let sql = "INSERT INTO libsql_vector_meta_shadow VALUES('vi',X'0103'),('it''s',X'00');";
        assert_eq!(names_of_rows(sql), ["vi", "it's"]);
        assert!(names_of_rows("DELETE FROM libsql_vector_meta_shadow").is_empty());
        assert!(names_of_rows("CREATE TABLE libsql_vector_meta_shadow (name TEXT)").is_empty());
    }
}
