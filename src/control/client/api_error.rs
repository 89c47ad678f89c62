//! What a server's refusal means: its own code where it gives one, else what its status says about the thing asked for.
//!
//! `torso server` gives codes; Turso Cloud and others give `{"error":"…"}` and a status.

use crate::error::{Code, Error};
use crate::secret::Secret;
use serde_json::Value;

/// The longest text of a server that is repeated, in characters.
const LONGEST: usize = 1_000;

/// What a call is about.
#[derive(Clone)]
pub(super) struct CallSubject<'a> {
    /// `database app`.
    pub what: String,
    /// What a bare 404 means.
    pub missing: Code,
    /// What a bare 409 means.
    pub exists: Code,
    /// What to type when it is missing.
    pub hint: Option<&'a str>,
    /// Set for what only torso's own server can do: elsewhere there is nothing at the path.
    pub only_here: Option<&'a str>,
}

impl<'a> CallSubject<'a> {
    pub fn new(what: impl Into<String>, missing: Code, exists: Code) -> Self {
        Self {
            what: what.into(),
            missing,
            exists,
            hint: None,
            only_here: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, with: &'a str) -> Self {
        self.hint = Some(with);
        self
    }

    /// `verb` is what the server is asked to do: "rename databases".
    #[must_use]
    pub fn only_here(mut self, verb: &'a str) -> Self {
        self.only_here = Some(verb);
        self
    }
}

/// The error that an answer stands for. `host` is the server's address for messages; the token is never repeated.
pub(super) fn of(status: u16, body: &[u8], about: &CallSubject<'_>, host: &str, token: Option<&Secret>) -> Error {
    let document: Option<Value> = serde_json::from_slice(body).ok();
    let member = |key: &str| {
        let value = document.as_ref()?.get(key)?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => return None,
            other => other.to_string(),
        };
        Some(clean(&text, token)).filter(|text| !text.is_empty())
    };
    let named = member("code").and_then(|name| Code::ALL.iter().copied().find(|code| code.name() == name));
    let text = member("error").or_else(|| member("message"));
    if let (Some(verb), 404 | 405) = (about.only_here, status) {
        let refused = Error::new(Code::Unsupported, format!("the server {host} cannot {verb}"));
        match named {
            None => return refused.hint("torso's own server can; torso api METHOD PATH sends any request"),
            // An older server of this kind says so.
            Some(Code::PathNotFound | Code::MethodNotAllowed) => {
                return refused.hint("update the server: a newer one can");
            }
            Some(_) => {}
        }
    }
    let code = named.unwrap_or_else(|| by_status(status, document.is_some(), about));
    let message = match (&text, code) {
        (Some(text), _) if named.is_some() => text.clone(),
        (_, Code::PathNotFound) => format!("there is no Platform API at {host}"),
        // Whatever its text, a bare 404 says no more than this, and this names the thing.
        (_, code) if code == about.missing && status == 404 => format!("there is no {}", about.what),
        (Some(text), Code::Unauthenticated) => format!("{host} does not accept the token: {text}"),
        (None, Code::Unauthenticated) => format!("{host} does not accept the token"),
        (Some(text), _) => format!("{}: {text}", about.what),
        // A proxy's own page.
        (None, Code::Unavailable) if matches!(status, 502 | 503) && document.is_none() => {
            format!("the server behind {host} does not answer (HTTP {status})")
        }
        (None, _) => format!("{host} answered {status} about {}", about.what),
    };
    let message = match member("request_id") {
        Some(id) if status >= 500 => format!("{message} (request {id})"),
        _ => message,
    };
    let error = Error::new(code, message);
    match member("hint").or_else(|| hint(code, about)) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn by_status(status: u16, json: bool, about: &CallSubject<'_>) -> Code {
    match status {
        401 => Code::Unauthenticated,
        402 => Code::QuotaExceeded,
        403 => Code::Forbidden,
        404 if !json => Code::PathNotFound,
        404 => about.missing,
        405 | 501 => Code::Unsupported,
        408 | 504 => Code::Timeout,
        409 => about.exists,
        413 => Code::TooLarge,
        429 => Code::RateLimited,
        500.. => Code::Unavailable,
        _ => Code::InvalidValue,
    }
}

fn hint(code: Code, about: &CallSubject<'_>) -> Option<String> {
    Some(
        match code {
            Code::Unauthenticated => "log in with torso auth login, or set TORSO_TOKEN",
            Code::Forbidden => "torso auth status shows who you are; ask an owner for the permission",
            Code::RateLimited | Code::Unavailable | Code::Timeout => "try again in a moment",
            Code::TooLarge => {
                "a proxy in front of the server may take less than the server: raise its limit, such as client_max_body_size of \
                 nginx"
            }
            Code::QuotaExceeded => "the organization's plan is used up",
            Code::PathNotFound => "is the address right? torso context list shows it",
            code if code == about.missing => return about.hint.map(str::to_owned),
            _ => return None,
        }
        .to_owned(),
    )
}

/// A server's text, cut to a readable length and without the token, should it be repeated there.
fn clean(text: &str, token: Option<&Secret>) -> String {
    let text = match token {
        Some(token) if !token.expose().is_empty() => text.replace(token.expose(), "…"),
        _ => text.to_owned(),
    };
    let mut short: String = text.trim().chars().take(LONGEST).collect();
    if short.len() < text.trim().len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(status: u16, body: &str) -> Error {
        let about = CallSubject::new("database app", Code::DatabaseNotFound, Code::DatabaseExists).hint("look around");
        of(
            status,
            body.as_bytes(),
            &about,
            "https://h",
            Some(&Secret::new("s3cret".into())),
        )
    }

    #[test]
    fn api_error_code_of_the_server_wins_over_its_status() {
        let error = member(409, r#"{"error":"no","code":"delete_protected","hint":"type this"}"#);
        assert_eq!(error.code(), Code::DeleteProtected);
        assert_eq!(error.message(), "no");
        assert_eq!(error.hint_text(), Some("type this"));
    }

    #[test]
    fn api_error_of_each_status_has_its_code() {
        for (status, body, code) in [
            (400, r#"{"error":"bad"}"#, Code::InvalidValue),
            (401, "", Code::Unauthenticated),
            (402, r#"{"error":"upgrade"}"#, Code::QuotaExceeded),
            (403, r#"{"error":"no"}"#, Code::Forbidden),
            (404, r#"{"error":"record not found"}"#, Code::DatabaseNotFound),
            (404, "<html>", Code::PathNotFound),
            (409, r#"{"error":{"a":1}}"#, Code::DatabaseExists),
            (409, r#"{"error":"x","code":"nobody_knows_this"}"#, Code::DatabaseExists),
            (413, "<html>", Code::TooLarge),
            (422, "{}", Code::InvalidValue),
            (429, "", Code::RateLimited),
            (500, "oops", Code::Unavailable),
            (501, "{}", Code::Unsupported),
            (502, "<html>", Code::Unavailable),
            (504, "", Code::Timeout),
        ] {
            assert_eq!(member(status, body).code(), code, "{status} {body}");
        }
        assert_eq!(member(404, r#"{"error":"x"}"#).message(), "there is no database app");
        assert_eq!(
            member(502, "<html>").message(),
            "the server behind https://h does not answer (HTTP 502)"
        );
        assert_eq!(member(404, r#"{"error":"x"}"#).hint_text(), Some("look around"));
    }

    #[test]
    fn api_error_of_what_only_torso_has_is_unsupported() {
        let about = CallSubject::new("database app", Code::DatabaseNotFound, Code::DatabaseExists)
            .only_here("rename databases");
        let ask = |body: &str| of(404, body.as_bytes(), &about, "https://h", None).code();
        assert_eq!(ask("{}"), Code::Unsupported);
        assert_eq!(
            ask(r#"{"error":"x","code":"database_not_found"}"#),
            Code::DatabaseNotFound
        );
        // So an older server of torso says that it does not know a path.
        for code in ["path_not_found", "method_not_allowed"] {
            let error = ask(&format!(r#"{{"error":"x","code":"{code}","hint":"y"}}"#));
            assert_eq!(error, Code::Unsupported, "{code}");
        }
    }

    #[test]
    fn api_error_text_is_short_and_tells_no_secret() {
        let error = member(400, &format!(r#"{{"error":"s3cret {}"}}"#, "x".repeat(5_000)));
        assert!(!error.message().contains("s3cret"));
        assert!(error.message().chars().count() < 1_100);
    }
}
