//! Vector indexes in scripts for servers. A dump has their content as rows, which a server takes from nobody: it makes it anew from
//! the indexed table, with the statement that makes the index.

use crate::shell::state::script::ScriptTranslation;
use crate::sqltext::quote::unquote;
use crate::sqltext::token::{TokenKind, significant_tokens};

/// Where libSQL keeps the parameters of vector indexes, by name.
const PARAMETERS: &str = "libsql_vector_meta_shadow";

/// What the names of the table with an index's content and of that table's index end with, after the name of the index.
const CONTENT: [&str; 2] = ["_shadow", "_shadow_idx"];

/// Whether what makes, fills or indexes something called `name` is about the content of a vector index of the script.
pub fn is_content(translation: &ScriptTranslation, name: &str) -> bool {
    let belongs = |index: &String| {
        CONTENT
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

/// The tables and indexes that hold the content of the vector indexes which these statements make; none where they make none.
pub fn content_of(statements: impl Iterator<Item = String>) -> Vec<String> {
    let indexes = statements.filter_map(|sql| name_of_vector_index(&sql));
    let mut content: Vec<String> = indexes
        .flat_map(|index| CONTENT.map(|end| format!("{index}{end}")))
        .collect();
    if !content.is_empty() {
        content.push(PARAMETERS.to_owned());
    }
    content
}

/// The name of the vector index that a statement of a schema makes; none where it makes none.
fn name_of_vector_index(sql: &str) -> Option<String> {
    let words: Vec<_> = significant_tokens(sql).map(|(_, text)| unquote(text)).collect();
    let is = |at: usize, word: &str| words.get(at).is_some_and(|text| text.eq_ignore_ascii_case(word));
    let has_vectors = (0..words.len()).any(|at| is(at, "libsql_vector_idx") && is(at + 1, "("));
    let mut at = 1 + (0..3).find(|at| is(*at, "INDEX"))?;
    if is(at, "IF") {
        at += 3;
    }
    if is(at + 1, ".") {
        at += 2;
    }
    (is(0, "CREATE") && has_vectors).then(|| words.get(at).map(|name| name.to_string()))?
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

    #[test]
    fn vector_indexes_of_a_schema_have_their_content_in_three_places() {
        let schema = |sql: &[&str]| content_of(sql.iter().map(|sql| (*sql).to_owned()));
        assert!(schema(&["CREATE TABLE t(a)", "CREATE INDEX i ON t(lower(a))"]).is_empty());
        for sql in [
            "CREATE INDEX vi ON v(libsql_vector_idx(e))",
            "create index if not exists main.\"vi\" on v ( libsql_vector_idx (e, 'metric=l2') )",
        ] {
            let content = ["vi_shadow", "vi_shadow_idx", "libsql_vector_meta_shadow"];
            assert_eq!(schema(&[sql]), content, "{sql}");
        }
    }
}
