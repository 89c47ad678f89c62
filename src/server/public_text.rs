//! What an error says to a client: never where a file of the server's is. Paths name the data directory, and the ids of
//! organizations, groups and databases are parts of them. The log has the whole text, with the request's id.

use crate::error::{Code, Error, Kind};
use std::borrow::Cow;

/// What stands in the place of a path.
const FILE: &str = "(a file of the server's)";

/// Characters that end a path in a sentence. A space in a path ends it too early, so what follows up to a slash is taken as well.
const ENDS: [char; 9] = ['"', '\'', '`', ',', ';', '(', ')', '\n', '…'];

/// Returns an error's message for a client.
pub(super) fn message(error: &Error) -> Cow<'_, str> {
    match error.code() {
        Code::DiskFull => Cow::Borrowed("the server has no space left on its disk; its log has the details"),
        _ if error.kind() == Kind::Internal || error.causes().count() > 0 && error.code() == Code::FileNotFound => {
            Cow::Borrowed("the server could not do this; its log has the details under the request's id")
        }
        // They repeat what the client itself has said.
        Code::InvalidValue | Code::InvalidName | Code::PathNotFound | Code::MethodNotAllowed => Cow::Owned(full(error)),
        _ => Cow::Owned(without_paths(&full(error)).into_owned()),
    }
}

/// Returns an error's hint for a client.
pub(super) fn hint(error: &Error) -> Option<Cow<'_, str>> {
    error.hint_text().map(without_paths)
}

/// The message, with its causes where the failure is the client's.
fn full(error: &Error) -> String {
    if error.http_status() >= 500 {
        error.message().to_owned()
    } else {
        error.full_message()
    }
}

/// Replaces absolute paths of files. Those of the API, which begin with its version, and of URLs stay.
fn without_paths(text: &str) -> Cow<'_, str> {
    let mut public = String::new();
    let mut rest = text;
    let mut before = None;
    while let Some(at) = rest.find('/') {
        let (head, tail) = rest.split_at(at);
        let before_slash = head.chars().next_back().or(before);
        let begins = before_slash.is_none_or(|c| c.is_whitespace() || "\"'`(=:,[<".contains(c));
        let end = path_end(tail);
        public.push_str(head);
        if begins && is_file(&tail[..end]) {
            public.push_str(FILE);
            before = tail[..end].chars().next_back();
            rest = &tail[end..];
        } else {
            public.push('/');
            before = Some('/');
            rest = &tail[1..];
        }
    }
    if public.is_empty() {
        return Cow::Borrowed(text);
    }
    public.push_str(rest);
    Cow::Owned(public)
}

/// Where a path at the beginning of a text ends.
fn path_end(text: &str) -> usize {
    let line = text.find(ENDS).unwrap_or(text.len());
    let mut end = text.find(char::is_whitespace).unwrap_or(text.len()).min(line);
    // `…/My Documents/x`: a word with a slash in it continues the path.
    while let Some(word) = text[end..line].strip_prefix(' ') {
        let length = word.find(char::is_whitespace).unwrap_or(word.len());
        if !word[..length].contains('/') || word.starts_with('/') {
            break;
        }
        end += 1 + length;
    }
    let path = text[..end].trim_end_matches([':', '.', '?', '!']);
    path.len().max(1)
}

/// Whether a path is one of a file and not of the API or a database's address.
fn is_file(path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    let first = parts.next().unwrap_or_default();
    let version = first.strip_prefix('v').and_then(|rest| rest.chars().next());
    !(first.is_empty() || first == "db" || version.is_some_and(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_text_hides_paths_of_files_from_clients() {
        for (text, public) in [
            (
                "cannot read /data/x/0f/a.db: no",
                "cannot read (a file of the server's): no",
            ),
            (
                "\"/data/my files/a\" is damaged",
                "\"(a file of the server's)\" is damaged",
            ),
            ("see /var/log/torso.log.", "see (a file of the server's)."),
            ("/a", "(a file of the server's)"),
            ("GET /v1/databases tells", "GET /v1/databases tells"),
            ("http://host/db/app/ and a/b", "http://host/db/app/ and a/b"),
            ("at:/srv/t", "at:(a file of the server's)"),
            (
                "(/srv/a, /srv/b)",
                "((a file of the server's), (a file of the server's))",
            ),
            ("no path", "no path"),
        ] {
            assert_eq!(without_paths(text), public);
        }
    }

    #[test]
    fn public_text_of_an_own_error_names_no_files() {
        let io = |kind| Error::io(std::io::Error::from(kind), "cannot open /data/7f/primary.db");
        for error in [
            io(std::io::ErrorKind::NotFound),
            io(std::io::ErrorKind::PermissionDenied),
            io(std::io::ErrorKind::StorageFull),
            Error::new(Code::CatalogDamaged, "the catalog /data/7f/catalog.db is damaged"),
            Error::new(Code::Diverged, "/data/7f/primary.db was changed"),
            Error::new(Code::Unavailable, "the process has ended (/data/7f/log)"),
        ] {
            let text = message(&error);
            assert!(!text.contains("/data") && !text.contains("7f"), "{text}");
        }
        let error = Error::new(Code::InvalidName, "\"/x\" is not a name");
        assert_eq!(message(&error), "\"/x\" is not a name");
        let error = Error::new(Code::Conflict, "busy").hint("look at /data/7f/log");
        assert_eq!(hint(&error).unwrap(), "look at (a file of the server's)");
    }
}
