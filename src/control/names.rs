//! Names as types. A database, group or location name exists only as one of these, parsed once at the edge, so that no
//! path, URL or SQL text is ever made from something unchecked. The same `FromStr` serves clap, serde and HTTP paths.

use crate::error::{Code, Error};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest name, in bytes (all allowed characters are one byte).
pub const MAX_NAME: usize = 64;

/// The group of databases that are not given one. It is made on first use.
pub const DEFAULT_GROUP: &str = "default";

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    }
}

/// Checks that a text is a name. `noun` is what it would be the name of, for errors.
fn check(noun: &str, text: &str) -> Result<(), Error> {
    let refuse = |why: String| {
        Err(Error::new(
            Code::InvalidName,
            format!("{} is not {} {noun} name: {why}", quoted(text), article(noun)),
        )
        .hint("use 1 to 64 of a-z, 0-9 and -, starting and ending with a letter or digit"))
    };
    if text.is_empty() {
        return refuse("it is empty".into());
    }
    if text.len() > MAX_NAME {
        return refuse(format!(
            "it has {} characters, more than {MAX_NAME}",
            text.chars().count()
        ));
    }
    if let Some(bad) = text
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-'))
    {
        return refuse(if bad.is_ascii_uppercase() {
            "it has a capital letter".into()
        } else {
            format!("it has the character {}", quoted(&bad.to_string()))
        });
    }
    if text.starts_with('-') || text.ends_with('-') {
        return refuse("it starts or ends with -".into());
    }
    if is_device_name(text) {
        return refuse("Windows reserves it for a device".into());
    }
    Ok(())
}

/// The text in quotes for errors: cut to a readable length, with unprintable characters escaped.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut short: String = text.chars().take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        short.push('…');
    }
    format!("{short:?}")
}

/// `con`, `com1` … cannot be file names on Windows, where exports of such a database could not be written.
fn is_device_name(text: &str) -> bool {
    match text {
        "con" | "prn" | "aux" | "nul" => true,
        _ => {
            text.len() == 4
                && (text.starts_with("com") || text.starts_with("lpt"))
                && text.as_bytes()[3].is_ascii_digit()
        }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $noun:literal) => {
        $(#[$doc])*
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                check($noun, text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// A database's name, unique in an organization. It never becomes part of a path: storage is named by [`DatabaseId`].
    DatabaseName, "database"
);
name!(
    /// A group's name.
    GroupName, "group"
);
name!(
    /// A location's code, such as `ams` or `local`.
    LocationCode, "location"
);
name!(
    /// A context's name in the settings file.
    ContextName, "context"
);
name!(
    /// An organization's slug: its name in URLs and in the hostnames of its databases.
    OrganizationSlug, "organization"
);
name!(
    /// A user's name, which is also the slug of the user's personal organization.
    Username, "user"
);
name!(
    /// The name of an API token.
    TokenName, "token"
);

/// The id of a token or an upload: letters, digits, `-` and `_`, so that it can be part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenId(String);

impl FromStr for TokenId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if text.is_empty() || text.len() > 2 * MAX_NAME || !text.chars().all(plain) {
            return Err(
                Error::new(Code::InvalidValue, format!("{} is not the id of a token", quoted(text)))
                    .hint("torso db tokens list NAME shows the ids"),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id of a database's storage: generated, never reused, and the only thing that files are named by.
///
/// A UUID of version 7 in hyphenated form. Byte 5 is part of the time in that layout; the value 0x10 is avoided there,
/// because the official CLI takes such a database for one of another kind.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseId(String);

impl DatabaseId {
    /// Generates a new id.
    #[must_use]
    pub fn generate() -> Self {
        loop {
            let id = uuid::Uuid::new_v4();
            if id.as_bytes()[5] != 0x10 {
                return Self(id.hyphenated().to_string());
            }
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match uuid::Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Ok(Self(id.hyphenated().to_string())),
            _ => Err(Error::new(
                Code::InvalidValue,
                format!("{} is not a database id", quoted(text)),
            )),
        }
    }
}

impl TryFrom<String> for DatabaseId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<DatabaseId> for String {
    fn from(id: DatabaseId) -> Self {
        id.0
    }
}

impl fmt::Display for DatabaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_follows_the_rule_is_parsed() {
        for text in ["a", "0", "app", "my-app-2", &"x".repeat(64), "com", "com10", "console"] {
            assert_eq!(text.parse::<DatabaseName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn name_that_breaks_the_rule_is_refused() {
        for text in [
            "",
            "-a",
            "a-",
            "A",
            "a b",
            "a/b",
            "..",
            ".",
            "a\0b",
            "é",
            "con",
            "nul",
            "com1",
            "lpt9",
            &"x".repeat(65),
            "a\n",
            "--help",
            "a.db",
            "a%2fb",
        ] {
            let error = text.parse::<DatabaseName>().unwrap_err();
            assert_eq!(error.code(), Code::InvalidName, "{text:?}");
            assert!(error.hint_text().is_some());
        }
    }

    #[test]
    fn database_id_is_a_uuid() {
        let id = DatabaseId::generate();
        assert_eq!(id.as_str().parse::<DatabaseId>().unwrap(), id);
        assert!("../../etc".parse::<DatabaseId>().is_err());
    }
}
