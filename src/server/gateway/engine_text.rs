//! What database processes say in errors, before clients read it. SQLite's words about a statement go on as they are: they
//! repeat what the client has said. Where files of the server's are is hidden, and what a process says of its own failure stays
//! in the log.

use super::error::GatewayError;
use super::upstream::connections::UpstreamBody;
use super::upstream::no_primary;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use memchr::memmem;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How the error of a replica's process begins that could not pass a request on to its primary.
const FORWARDING: [&[u8]; 2] = [
    b"Failed to execute queries via RPC protocol",
    b"Connection with primary broken",
];

/// How an error begins inside of an answer of JSON. Quotes in values are escaped there, so no value has this.
const ERROR: &[u8] = br#"{"message":""#;

/// What the path of a database's file has, the end of that path, and how far after one another these are at most.
const DATABASES: &[u8] = b"/sqld/dbs/";
const FILE: &[u8] = b"/data";
const FARTHEST: usize = 1_000;

/// What stands in the place of each byte of a path: answers keep their length, which was told before.
const HIDDEN: u8 = b'*';

/// Bytes of a process's error that are read, and how long that may take.
const LONGEST: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(1);

/// Hides where a server's files are.
pub struct PathFilter {
    /// The data directory; everything of the server's is below it.
    directory: memmem::Finder<'static>,
}

/// Which part of an answer is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorPart {
    All,
    /// Messages of errors among results, in JSON.
    Messages,
}

impl PathFilter {
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: memmem::Finder::new(directory.as_os_str().as_encoded_bytes()).into_owned(),
        }
    }

    /// An answer without paths in its errors. Rows stay as they are, but for paths of databases: `PRAGMA database_list` has them.
    pub fn hide(&self, answer: Bytes, part: ErrorPart) -> Bytes {
        if self.directory.find(&answer).is_none() {
            return answer;
        }
        let mut bytes = answer.to_vec();
        match part {
            ErrorPart::All => self.hide_in(&mut bytes, &|rest| Some(path_end(rest))),
            ErrorPart::Messages => {
                self.hide_in(&mut bytes, &database_path_end);
                let begins: Vec<usize> = memmem::find_iter(&answer, ERROR).map(|at| at + ERROR.len()).collect();
                for begin in begins {
                    let end = begin + string_end(&answer[begin..]);
                    self.hide_in(&mut bytes[begin..end], &|rest| Some(path_end(rest)));
                }
            }
        }
        Bytes::from(bytes)
    }

    /// Hides the paths below the directory of which `end` says, from what follows the directory, where they end there.
    fn hide_in(&self, text: &mut [u8], end: &dyn Fn(&[u8]) -> Option<usize>) {
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| self.directory.find(rest)) {
            let begin = from + at;
            // A path may have a character itself that ends one, so at least the directory goes.
            from = begin + self.directory.needle().len();
            if let Some(length) = end(&text[from..]) {
                from += length;
                text[begin..from].fill(HIDDEN);
            }
        }
    }
}

/// Where a path in a sentence ends.
fn path_end(text: &[u8]) -> usize {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`,;:()<>\\".contains(byte);
    text.iter().position(ends).unwrap_or(text.len())
}

/// Where the path of a database's file ends, in whatever encoding; none where it is another path.
fn database_path_end(text: &[u8]) -> Option<usize> {
    let near = &text[..text.len().min(FARTHEST)];
    let id = memmem::find(near, DATABASES)? + DATABASES.len();
    Some(id + memmem::find(&near[id..], FILE)? + FILE.len())
}

/// Returns where a string of JSON ends, whose opening quote is before `text`; the length of `text` if it does not.
pub fn string_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Whether an error of a replica's process is about its primary.
pub fn is_about_forwarding(text: &[u8]) -> bool {
    FORWARDING.iter().any(|words| memmem::find(text, words).is_some())
}

/// What a client is told of a process that failed, and whether its files seem to be why.
pub struct ProcessFailure {
    pub error: GatewayError,
    pub mentions_damage: bool,
}

/// How libSQL server's errors about a statement begin. It answers some of them as if it had failed itself. Source: its
/// `hrana/stmt.rs`.
const ABOUT_STATEMENTS: [&str; 9] = [
    "SQL string",
    "SQL input error",
    "SQLite error",
    "SQLite input error",
    "Arguments do not match",
    "Specifying both positional and named arguments",
    "Transaction timed out",
    "Operation was blocked",
    "Response is too large",
];

/// Whether the error in a body is about a statement: a text, or JSON with one.
fn is_about_statement(body: &[u8]) -> bool {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let text = match &json {
        Some(json) => ["error", "message"].iter().find_map(|key| json.get(key)?.as_str()),
        None => std::str::from_utf8(body).ok(),
    };
    text.is_some_and(|text| {
        // A cursor's statement that does not parse is wrapped so.
        let text = text.strip_prefix("Internal Error: `").unwrap_or(text);
        ABOUT_STATEMENTS.iter().any(|begin| text.starts_with(begin))
    })
}

/// Whether an error says that a text of a result is not UTF-8: libSQL server has no answer with such a text.
fn is_about_encoding(body: &[u8]) -> bool {
    const WORDS: [&[u8]; 2] = [b"invalid utf-8 sequence of ", b"incomplete utf-8 byte sequence from "];
    WORDS.iter().any(|words| memmem::find(body, words).is_some())
}

/// Reads the error of a process that failed by itself; returns it where it is about a statement. A replica's nearly always could
/// not pass a write on, and its words are about that; a write may have reached the primary before that ended.
pub async fn read_failure(status: StatusCode, body: UpstreamBody, is_replica: bool) -> Result<Bytes, ProcessFailure> {
    let read = tokio::time::timeout(PATIENCE, Limited::new(body, LONGEST).collect()).await;
    let text = match read {
        Ok(Ok(text)) => text.to_bytes(),
        Ok(Err(_)) | Err(_) => Bytes::new(),
    };
    let is_damage = mentions_damage(&text) || says_damage(&text);
    if !is_damage && is_about_statement(&text) {
        return Ok(text);
    }
    if is_about_encoding(&text) {
        let message =
            "a text in the result is not UTF-8: read it as hex(COLUMN) or CAST(COLUMN AS BLOB); what was written stays";
        return Err(ProcessFailure {
            error: GatewayError::new(StatusCode::BAD_REQUEST, "TEXT_NOT_UTF8", message),
            mentions_damage: false,
        });
    }
    tracing::warn!(%status, is_replica, cause = %String::from_utf8_lossy(&text), "a database process failed");
    let error = if is_replica && is_about_forwarding(&text) {
        no_primary()
    } else if is_damage {
        GatewayError::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "DATABASE_DAMAGED",
            "the database's file seems to be damaged; it is being checked (torso doctor says what to do)",
        )
    } else if is_replica {
        GatewayError::unavailable("the replica's process failed; whether what was written took effect is not known")
    } else {
        GatewayError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "the database's process failed; the server's log has its words under the request's id",
        )
    };
    Err(ProcessFailure {
        error,
        mentions_damage: is_damage,
    })
}

/// Whether an answer has the code of an error that SQLite gives on damaged files. It may be in somebody's rows; then the
/// database is read in vain.
pub fn mentions_damage(data: &[u8]) -> bool {
    const CODES: [&[u8]; 2] = [b"SQLITE_CORRUPT", b"SQLITE_NOTADB"];
    CODES.iter().any(|code| memchr::memmem::find(data, code).is_some())
}

/// Whether an answer has SQLite's words for a table that is not there: of a file that was lost, none is. They may be in somebody's
/// rows; then the file is looked at in vain.
pub fn mentions_missing_table(data: &[u8]) -> bool {
    memmem::find(data, b"no such table").is_some()
}

/// Whether a process's own error has SQLite's words for a damaged file.
fn says_damage(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 2] = [b"database disk image is malformed", b"file is not a database"];
    WORDS.iter().any(|words| memmem::find(text, words).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> PathFilter {
        PathFilter::new(Path::new("/srv/torso"))
    }

    fn hide(text: &'static str, part: ErrorPart) -> String {
        String::from_utf8(filter().hide(Bytes::from(text), part).to_vec()).unwrap()
    }

    #[test]
    fn engine_text_hides_paths_in_errors_and_keeps_them_in_rows() {
        let text = r#"{"results":[{"rows":["/srv/torso/x"]},{"error":{"message":"cannot open \"/srv/torso/a\": /srv/torso","code":"/srv/torso"}}]}"#;
        let hidden = r#"{"results":[{"rows":["/srv/torso/x"]},{"error":{"message":"cannot open \"************\": **********","code":"/srv/torso"}}]}"#;
        assert_eq!(hide(text, ErrorPart::Messages), hidden);
        assert_eq!(
            hide("no /srv/torso/a/b, no /srv", ErrorPart::All),
            "no **************, no /srv"
        );
        // What PRAGMA database_list answers.
        let row = r#"{"rows":["main","/srv/torso/organizations/o/locations/ams/p/sqld/dbs/0a/data"],"x":1}"#;
        let hidden = format!(r#"{{"rows":["main","{}"],"x":1}}"#, "*".repeat(59));
        assert_eq!(hide(row, ErrorPart::Messages), hidden);
        let whole = "no such column: /srv/other";
        assert_eq!(hide(whole, ErrorPart::All), whole);
        // A value that looks like an error has its quotes escaped.
        let value = r#"{"rows":["\"error\":{\"message\":\"/srv/torso/x"]}"#;
        assert_eq!(hide(value, ErrorPart::Messages), value);
    }

    #[test]
    fn engine_error_of_a_statement_is_told_from_a_failure_of_the_process() {
        for body in [
            r#"{"error":"SQL string could not be parsed: near FROM"}"#,
            r#"{"message":"SQLite error: no such table: t","code":"SQLITE_UNKNOWN"}"#,
            r#"{"error":"Internal Error: `SQL string could not be parsed: syntax error around L1:15: `t``"}"#,
            "SQL input error: near \"fro\" (at offset 9)",
        ] {
            assert!(is_about_statement(body.as_bytes()), "{body}");
        }
        for body in [
            r#"{"error":"Internal Error: `Is a directory (os error 21)`"}"#,
            r#"{"error":{"message":"SQLite error"}}"#,
            "panicked at library/core",
            "",
        ] {
            assert!(!is_about_statement(body.as_bytes()), "{body}");
        }
    }
}
