//! What of that which is typed may hold a secret, so that the history does not store it: a value with the name of a secret, a
//! password in a URL, a token, the key of an encrypted database. Too much is better than too little: it is recalled in the session.

use crate::sqltext::token::significant_tokens;

/// How the names of values end that are secrets, in lower case, with `_` for `-`.
const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "pwd",
    "secret",
    "token",
    "authtoken",
    "jwt",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "credential",
    "credentials",
    "authorization",
];

/// Whether a text may hold a secret.
#[must_use]
pub fn is_secret(text: &str) -> bool {
    has_named_value(text)
        || text.to_ascii_lowercase().contains("bearer ")
        || is_command_with_secret(text)
        || has_key_statement(text)
        || has_userinfo(text)
        || has_signed_token(text)
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

fn names_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace(['-', '.'], "_");
    NAMES.iter().any(|secret| name.ends_with(secret)) || name == "auth" || name.ends_with("_auth")
}

/// `token=…`, `"api_key": "…"`, `Authorization: …`, `password = '…'`, and options such as `--password …`.
fn has_named_value(text: &str) -> bool {
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        rest = &rest[start..];
        let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if names_secret(name.trim_end_matches('-')) {
            let value = after.trim_start_matches(['"', '\'', '`', ']']).trim_start();
            let is_option = name.starts_with('-') && !after.trim().is_empty();
            if is_option || value.starts_with('=') && !value.starts_with("==") || value.starts_with(':') {
                return true;
            }
        }
        rest = after;
    }
    false
}

/// A dot-command's words are values more often than not: `.parameter set :password hunter2`, `.system mysql -pabc`.
fn is_command_with_secret(text: &str) -> bool {
    text.starts_with('.')
        && text.split_whitespace().any(|word| {
            let has_attached_password = word.starts_with("-p") && word.len() > 2;
            has_attached_password || word.split(|letter| !is_name(letter)).any(names_secret)
        })
}

/// `PRAGMA key = …` and its kin, and `ATTACH … KEY …`, of the encrypting builds of SQLite.
fn has_key_statement(text: &str) -> bool {
    const KEYS: [&str; 6] = ["key", "rekey", "hexkey", "hexrekey", "textkey", "textrekey"];
    let words: Vec<&str> = significant_tokens(text).map(|(_, word)| word).collect();
    let is = |word: &str, name: &str| word.trim_matches(['"', '`', '\'', '[', ']']).eq_ignore_ascii_case(name);
    let sets_key = words.iter().enumerate().any(|(at, word)| {
        let mut name = words[at + 1..]
            .iter()
            .take(3)
            .take_while(|word| **word != "=" && **word != "(");
        is(word, "pragma") && name.any(|name| KEYS.iter().any(|key| is(name, key)))
    });
    sets_key || words.iter().any(|word| is(word, "attach")) && words.iter().any(|word| is(word, "key"))
}

/// `scheme://user:password@host`
fn has_userinfo(text: &str) -> bool {
    text.match_indices("://").any(|(at, sign)| {
        let authority: &str = text[at + sign.len()..]
            .split(['/', ' ', '\'', '"', '?', '\n'])
            .next()
            .unwrap_or_default();
        authority.split_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

/// A JSON Web Token: three parts, the first of which encodes a JSON object.
fn has_signed_token(text: &str) -> bool {
    text.match_indices("eyJ").any(|(at, _)| {
        let token: &str = text[at..]
            .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .next()
            .unwrap_or_default();
        token.len() > 20 && token.matches('.').count() == 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_takes_values_with_names_of_secrets_for_secrets() {
        for text in [
            ".open libsql://x.turso.io?authToken=abc",
            ".open http://user:pass@host/db",
            "PRAGMA key = 'x';",
            "pragma main.rekey('x')",
            "pragma/**/key='abc'",
            "pragma \"main\" . \"hexkey\" = 'abc'",
            "attach 'a.db' as a key 'x'",
            "attach 'a.db' as a key'x'",
            ".parameter set :password hunter2",
            ".param set @api_key 1",
            "select 'eyJhbGciOiJFZERTQSJ9.eyJhIjoicncifQ.c2lnbmF0dXJl';",
            ".shell curl -H 'Authorization: Bearer x'",
            ".open --token x db",
            "select 'api_key=abc'",
            "select 'AWS_SECRET_ACCESS_KEY=abc'",
            "select 'Authorization: Basic abc'",
            ".system mysql -pabc",
            ".system psql --password abc",
            "select '{\"access-token\" : \"abc\"}'",
            "update users set password = 'x'",
            "update users set [password] = 'x'",
            "insert into t values ('DB_PASSWD=\"x\"')",
            "select 'x --auth abc'",
        ] {
            assert!(is_secret(text), "{text}");
        }
        for text in [
            "select password_hash from users;",
            "select token, password from users",
            "select 'a@b.c', 'http://x/y:z@w';",
            "pragma foreign_key_list(t);",
            "pragma foreign_keys = on",
            "create table t(id integer primary key, token_count)",
            "select * from t where token_count = 5",
            ".tables",
            ".import --csv x.csv t",
            "select 'eyJ';",
        ] {
            assert!(!is_secret(text), "{text}");
        }
    }
}
