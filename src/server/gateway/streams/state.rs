//! What a stream over HTTP has that would be lost with it. A process ends a stream that nobody uses for ten seconds, and some
//! clients send the baton of such a stream for ever after. Where nothing was lost with it, a fresh stream serves as well.
//!
//! The state is part of the baton that a client is given, since nobody else would remember it for as long as a client may be
//! quiet. It errs towards what cannot be replaced.

use crate::hrana::json::has_escapes;
use crate::sqltext::classify::only_ends_transaction;
use memchr::memmem;
use serde_json::Value;

/// Between a baton and its label: the letter of the stream's state and a digest. No baton has it.
pub const SEPARATOR: char = '.';

/// What is lost with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// Nothing.
    Clean,
    /// Perhaps an open transaction.
    Transaction,
    /// Perhaps settings, temporary tables or stored statements, which live as long as the stream.
    Settings,
}

/// Words without which no statement opens a transaction.
const TRANSACTION: [&[u8]; 2] = [b"begin", b"savepoint"];

/// Words without which a request leaves nothing else behind in its stream.
const SETTINGS: [&[u8]; 4] = [b"pragma", b"temp", b"attach", b"store_sql"];

/// The key of every statement in a request.
const SQL: &[u8] = br#""sql""#;

/// How a pipeline's answer says that no transaction is open. In a text of JSON the quotes would be escaped.
const AUTOCOMMIT: &[u8] = br#""is_autocommit":true"#;
const ANY_AUTOCOMMIT: &[u8] = br#""is_autocommit":"#;

impl StreamState {
    /// Every state, and the letter that stands for it in a baton.
    const LETTERS: [(Self, char); 3] = [(Self::Clean, 'c'), (Self::Transaction, 't'), (Self::Settings, 's')];

    pub fn letter(self) -> char {
        let found = Self::LETTERS.iter().find(|(state, _)| *state == self);
        found.map_or(SEPARATOR, |(_, letter)| *letter)
    }

    pub fn from_letter(letter: char) -> Option<Self> {
        let found = Self::LETTERS.iter().find(|(_, known)| *known == letter);
        found.map(|(state, _)| *state)
    }

    /// The state after a request in JSON. A word in a value counts as well.
    pub fn after_request(self, body: &[u8]) -> Self {
        let body = body.to_ascii_lowercase();
        let mentions = |words: &[&[u8]]| words.iter().any(|word| memmem::find(&body, word).is_some());
        if self == Self::Settings || has_escapes(&body) || mentions(&SETTINGS) {
            Self::Settings
        } else if mentions(&TRANSACTION) {
            Self::Transaction
        } else {
            self
        }
    }

    /// The state after the whole answer to a pipeline in JSON: the last thing that it says about a transaction counts.
    pub fn after_answer(self, answer: &[u8]) -> Self {
        let last = memmem::rfind(answer, ANY_AUTOCOMMIT).map(|at| &answer[at..]);
        match last {
            Some(last) if self == Self::Transaction && last.starts_with(AUTOCOMMIT) => Self::Clean,
            _ => self,
        }
    }

    /// Whether a fresh stream may take the place of one that has ended, for a request in JSON. What has no statements asks about
    /// the stream itself. A transaction that is lost has
    /// to fail; only what ends it may go on, and fails because there is none, so that the client learns where it is.
    pub fn is_replaceable(self, body: &[u8]) -> bool {
        match self {
            Self::Clean => memmem::find(body, SQL).is_some(),
            Self::Transaction => only_ends_transactions(body),
            Self::Settings => false,
        }
    }
}

/// Whether every statement of a request ends a transaction, and there is one.
fn only_ends_transactions(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let mut statements = Vec::new();
    collect_sql(&body, &mut statements);
    !statements.is_empty() && statements.into_iter().all(only_ends_transaction)
}

fn collect_sql<'v>(value: &'v Value, statements: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(sql) if key == "sql" => statements.push(sql),
                    value => collect_sql(value, statements),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_sql(item, statements)),
        _ => {}
    }
}

/// Whether a process's answer, of the status 400, says that it does not have the stream of a baton.
pub fn says_stream_is_gone(answer: &[u8]) -> bool {
    answer == b"Received an invalid baton"
        || serde_json::from_slice::<Value>(answer).is_ok_and(|answer| answer["code"] == "STREAM_EXPIRED")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn execute(sql: &str) -> Vec<u8> {
        let request = json!({ "type": "execute", "stmt": { "sql": sql } });
        json!({ "requests": [request] }).to_string().into_bytes()
    }

    #[test]
    fn stream_state_after_a_request_errs_towards_what_cannot_be_replaced() {
        for (sql, state) in [
            ("select 1", StreamState::Clean),
            ("insert into t values (1)", StreamState::Clean),
            ("BEGIN", StreamState::Transaction),
            ("Begin immediate", StreamState::Transaction),
            ("savepoint a", StreamState::Transaction),
            ("select 'the beginning'", StreamState::Transaction),
            ("PRAGMA foreign_keys = on", StreamState::Settings),
            ("create TEMP table t (x)", StreamState::Settings),
        ] {
            assert_eq!(StreamState::Clean.after_request(&execute(sql)), state, "{sql}");
        }
        let hidden = br#"{"requests":[{"stmt":{"sql":"\u0062egin"}}]}"#;
        assert_eq!(StreamState::Clean.after_request(hidden), StreamState::Settings);
        let settings = StreamState::Settings.after_request(&execute("begin"));
        assert_eq!(settings, StreamState::Settings);
    }

    #[test]
    fn stream_state_after_an_answer_is_what_the_process_said_last() {
        let answer = |said: &[bool]| {
            let results: Vec<_> = said
                .iter()
                .map(|said| json!({ "response": { "type": "get_autocommit", "is_autocommit": said } }))
                .collect();
            json!({ "results": results }).to_string().into_bytes()
        };
        for (said, state) in [
            (&[true][..], StreamState::Clean),
            (&[false, true], StreamState::Clean),
            (&[true, false], StreamState::Transaction),
            (&[], StreamState::Transaction),
        ] {
            assert_eq!(StreamState::Transaction.after_answer(&answer(said)), state, "{said:?}");
            assert_eq!(StreamState::Settings.after_answer(&answer(said)), StreamState::Settings);
        }
        // A value that looks like it.
        let text = json!({ "value": "\"is_autocommit\":true" }).to_string();
        let state = StreamState::Transaction.after_answer(text.as_bytes());
        assert_eq!(state, StreamState::Transaction);
    }

    #[test]
    fn transaction_that_is_lost_is_replaced_only_for_what_ends_it() {
        for sql in ["COMMIT;", " rollback ", "end transaction", "Rollback Transaction;"] {
            assert!(StreamState::Transaction.is_replaceable(&execute(sql)), "{sql}");
        }
        for sql in [
            "select 1",
            "rollback to a",
            "commit; select 1",
            "insert into t values (1)",
            "",
        ] {
            assert!(!StreamState::Transaction.is_replaceable(&execute(sql)), "{sql}");
        }
        let two = br#"{"requests":[{"stmt":{"sql":"commit"}},{"stmt":{"sql":"select 1"}}]}"#;
        assert!(!StreamState::Transaction.is_replaceable(two));
        assert!(!StreamState::Transaction.is_replaceable(br#"{"requests":[]}"#));
        assert!(StreamState::Clean.is_replaceable(&execute("select 1")));
        let asks = br#"{"requests":[{"type":"get_autocommit"}]}"#;
        assert!(!StreamState::Clean.is_replaceable(asks));
        assert!(!StreamState::Settings.is_replaceable(&execute("commit")));
    }

    #[test]
    fn stream_is_gone_where_the_process_says_so() {
        assert!(says_stream_is_gone(br#"{"message":"expired","code":"STREAM_EXPIRED"}"#));
        assert!(says_stream_is_gone(b"Received an invalid baton"));
        assert!(!says_stream_is_gone(
            br#"{"message":"STREAM_EXPIRED","code":"SQL_PARSE_ERROR"}"#
        ));
        assert!(!says_stream_is_gone(b"nothing"));
    }
}
