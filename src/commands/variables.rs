//! How an application reaches a database, as environment variables: their names and values, and the forms in which shells,
//! files and CI systems take them. Who shows or sets them is in `db/env`, `env` and `run`.

use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::tokens::{Authorization, Expiration, Minted, NewToken, TokenPermissions};
use crate::control::types::Database;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::settings::env;
use std::str::FromStr;

/// What a variable holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// What clients of libSQL connect to.
    Url,
    /// What opens it; empty where databases are files.
    Token,
    /// What clients over HTTP connect to; empty where databases are files.
    HttpUrl,
    /// The file; empty where databases are on a server.
    Path,
}

/// The variables that are always set: what Drizzle, the clients of libSQL and most frameworks look for.
const STANDARD: [(&str, Part); 4] = [
    (env::APPLICATION_URL, Part::Url),
    (env::APPLICATION_TOKEN, Part::Token),
    (env::TURSO_DATABASE_URL, Part::Url),
    (env::TURSO_AUTH_TOKEN, Part::Token),
];

/// A further variable that the user names: `NAME`, or `NAME=PART`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedVariable {
    name: String,
    part: Part,
}

impl FromStr for NamedVariable {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, part) = text.split_once('=').unwrap_or((text, "url"));
        let part = match part {
            "url" => Part::Url,
            "token" => Part::Token,
            "http-url" => Part::HttpUrl,
            "path" => Part::Path,
            _ => {
                return Err(Error::new(
                    Code::InvalidValue,
                    format!("{part:?} is not a part of a database's address"),
                )
                .hint("write NAME=url, NAME=token, NAME=http-url or NAME=path; NAME alone is NAME=url"));
            }
        };
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(
                Error::new(Code::InvalidValue, format!("{name:?} is not a variable's name"))
                    .hint("use letters, digits and _, not starting with a digit"),
            );
        }
        Ok(Self {
            name: name.to_owned(),
            part,
        })
    }
}

/// Further variables, and what their token may do.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct NamedVariables {
    /// Also set this variable (repeatable)
    ///
    /// NAME is set to the URL; NAME=token, NAME=http-url and NAME=path set it to that.
    #[arg(long = "env-name", value_name = "NAME")]
    names: Vec<NamedVariable>,
}

/// How long the token is valid and what it may do.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Access {
    /// How long the token is valid, such as 30m
    #[arg(long, value_name = "DURATION", default_value = "never")]
    expires: Expiration,
    /// The token may only read
    #[arg(long)]
    read_only: bool,
}

impl Access {
    /// A token of that span that may do everything.
    pub fn full(expires: Expiration) -> Self {
        Self {
            expires,
            read_only: false,
        }
    }

    /// Says which options change nothing for a database that is a file.
    fn warn_of_file(&self, ctx: &Context, name: &DatabaseName) {
        let options = match (self.read_only, self.expires) {
            (false, Expiration::Never) => return,
            (true, Expiration::Never) => "--read-only changes",
            (false, Expiration::After(_)) => "--expires changes",
            (true, Expiration::After(_)) => "--read-only and --expires change",
        };
        ctx.ui.warn(format!(
            "database {name} is a file on this machine, which is opened without a token: {options} nothing here"
        ));
    }
}

/// A variable and its value.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub name: String,
    /// Empty where the database has no such part.
    pub value: Secret,
    /// Whether the value is a secret.
    pub hidden: bool,
}

/// The variables of a database. On a server this makes a token, which lists show under `label`.
pub(super) fn of_database(
    ctx: &Context,
    database: &Database,
    wanted: &NamedVariables,
    access: &Access,
    label: &str,
) -> Result<Vec<Variable>> {
    if database.url.path().is_some() {
        access.warn_of_file(ctx, &database.name);
    }
    let token = mint(ctx, database, access, label)?;
    with_token(database, wanted, token.as_ref().map(|token| &token.jwt))
}

/// Makes a token for a database on a server, which lists show under `label`. None for a file, which has none.
pub(super) fn mint(ctx: &Context, database: &Database, access: &Access, label: &str) -> Result<Option<Minted>> {
    if database.url.path().is_some() {
        return Ok(None);
    }
    let new = NewToken {
        name: Some(label.to_owned()),
        expiration: access.expires,
        authorization: if access.read_only {
            Authorization::ReadOnly
        } else {
            Authorization::FullAccess
        },
        permissions: TokenPermissions::default(),
    };
    ctx.control()?.create_database_token(&database.name, &new).map(Some)
}

/// The variables of a database that such a token opens.
pub(super) fn with_token(
    database: &Database,
    wanted: &NamedVariables,
    token: Option<&Secret>,
) -> Result<Vec<Variable>> {
    #[cfg(unix)]
    if let Some(file) = database.url.path() {
        crate::served_file::check_free(file)?;
    }
    let value = |part: Part| match part {
        Part::Url => database.url.as_str().to_owned(),
        Part::Token => token.map_or(String::new(), |token| token.expose().to_owned()),
        Part::HttpUrl => database.url.http().map_or(String::new(), |url| url.to_string()),
        Part::Path => database
            .url
            .path()
            .map_or(String::new(), |path| path.to_string_lossy().into_owned()),
    };
    let standard = STANDARD.iter().map(|(name, part)| ((*name).to_owned(), *part));
    let named = wanted.names.iter().map(|named| (named.name.clone(), named.part));
    let mut variables: Vec<Variable> = Vec::new();
    for (name, part) in standard.chain(named) {
        // What the user names wins over what is always set.
        variables.retain(|variable| variable.name != name);
        variables.push(Variable {
            name,
            value: Secret::new(value(part)),
            hidden: part == Part::Token && token.is_some(),
        });
    }
    Ok(variables)
}

/// A form of variables that a shell, a file or a CI system takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum VariableFormat {
    /// A line NAME=value each, as .env files have them
    Dotenv,
    /// For sh, bash and zsh: eval "$(torso db env app --format export)"
    Export,
    /// For fish: torso db env app --format fish | source
    Fish,
    /// For PowerShell: torso db env app --format powershell | Invoke-Expression
    Powershell,
    /// One JSON object
    Json,
    /// For a step of GitHub Actions: sets them for later steps, and masks the token in logs
    Github,
}

/// The variables as text of a form. For [`VariableFormat::Github`] these are the lines of the file that `GITHUB_ENV` names.
pub(super) fn lines(variables: &[Variable], form: VariableFormat) -> String {
    let line: fn(&str, &str) -> String = match form {
        VariableFormat::Json => return json_object(variables),
        VariableFormat::Dotenv => dotenv_line,
        VariableFormat::Github => github_line,
        VariableFormat::Export => |name, value| format!("export {name}='{}'", value.replace('\'', r"'\''")),
        VariableFormat::Fish => {
            |name, value| format!("set -gx {name} '{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
        }
        VariableFormat::Powershell => |name, value| format!("$env:{name} = '{}'", value.replace('\'', "''")),
    };
    let lines = variables
        .iter()
        .map(|variable| line(&variable.name, variable.value.expose()) + "\n");
    lines.collect()
}

fn json_object(variables: &[Variable]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let member = |variable: &Variable| format!("\n  {}: {}", quoted(&variable.name), quoted(variable.value.expose()));
    let members: Vec<_> = variables.iter().map(member).collect();
    format!("{{{}\n}}\n", members.join(","))
}

/// A line of a `.env` file. Values of ordinary characters stand bare, since all readers of such files agree on these.
pub(super) fn dotenv_line(name: &str, value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-./:@?=&%+,~".contains(c);
    if value.chars().all(bare) {
        format!("{name}={value}")
    } else if value.contains('\'') {
        format!(
            "{name}=\"{}\"",
            value.replace('\\', r"\\").replace('"', r#"\""#).replace('$', r"\$")
        )
    } else {
        format!("{name}='{value}'")
    }
}

/// A line of the files that GitHub Actions reads, by
/// <https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions>. No value here has a line end.
pub(super) fn github_line(name: &str, value: &str) -> String {
    format!("{name}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(value: &str) -> Vec<Variable> {
        vec![Variable {
            name: "X".into(),
            value: Secret::new(value.into()),
            hidden: false,
        }]
    }

    #[test]
    fn variable_of_odd_characters_is_quoted_for_each_form() {
        let odd = r#"file:/it's "a" $b\c"#;
        let cases = [
            (VariableFormat::Dotenv, r#"X="file:/it's \"a\" \$b\\c""#),
            (VariableFormat::Export, r#"export X='file:/it'\''s "a" $b\c'"#),
            (VariableFormat::Fish, r#"set -gx X 'file:/it\'s "a" $b\\c'"#),
            (VariableFormat::Powershell, r#"$env:X = 'file:/it''s "a" $b\c'"#),
        ];
        for (form, line) in cases {
            assert_eq!(lines(&variable(odd), form), format!("{line}\n"));
        }
        assert_eq!(
            lines(&variable("file:/a b#c"), VariableFormat::Dotenv),
            "X='file:/a b#c'\n"
        );
        assert_eq!(
            lines(&variable("libsql://h:1"), VariableFormat::Dotenv),
            "X=libsql://h:1\n"
        );
    }

    #[test]
    fn variable_name_that_shells_do_not_take_is_refused() {
        assert!("APP_DB=token".parse::<NamedVariable>().is_ok());
        for wrong in ["", "1A", "A-B", "A=password", "A B", "=url"] {
            assert_eq!(
                wrong.parse::<NamedVariable>().unwrap_err().code(),
                Code::InvalidValue,
                "{wrong}"
            );
        }
    }
}
