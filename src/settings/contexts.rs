//! Contexts: the control planes a user works with, by name. The embedded one, `local`, is always there; others are
//! servers, kept in the settings file, with their tokens in a file of their own.

use super::{Settings, env, files};
use crate::control::names::ContextName;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use std::path::PathBuf;
use toml_edit::{Item, Table, value};

/// The embedded control plane's context.
pub const LOCAL: &str = "local";

/// A context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub name: ContextName,
    /// None: the embedded control plane.
    pub url: Option<String>,
    pub has_token: bool,
}

impl Settings {
    /// All of them, `local` first.
    pub fn contexts(&self) -> Result<Vec<Context>> {
        let mut found = vec![Context {
            name: LOCAL.parse()?,
            url: None,
            has_token: false,
        }];
        let path = self.path()?;
        let tokens = files::read(&self.credentials_path()?)?;
        let Some(servers) = self.user()?.get("contexts") else {
            return Ok(found);
        };
        let servers = servers
            .as_table_like()
            .ok_or_else(|| files::invalid(&path, "contexts is not a table"))?;
        for (name, server) in servers.iter() {
            let parsed = name
                .parse()
                .map_err(|error: Error| files::invalid(&path, &format!("contexts: {error}")))?;
            let url = server
                .get("url")
                .and_then(Item::as_str)
                .ok_or_else(|| files::invalid(&path, &format!("contexts.{name} has no url")))?;
            found.push(Context {
                name: parsed,
                url: Some(url.to_owned()),
                has_token: tokens.get("tokens").and_then(|table| table.get(name)).is_some(),
            });
        }
        Ok(found)
    }

    /// The context of that name.
    pub fn context(&self, name: &ContextName) -> Result<Context> {
        let all = self.contexts()?;
        let known: Vec<String> = all.iter().map(|context| context.name.to_string()).collect();
        all.into_iter().find(|context| context.name == *name).ok_or_else(|| {
            Error::new(Code::ContextNotFound, format!("there is no context {name}")).hint(format!(
                "contexts are {}; add one with torso context add {name} --url URL",
                known.join(", ")
            ))
        })
    }

    /// Keeps a server under a name. With `replace`, one of that name is overwritten.
    pub fn add_context(&self, name: &ContextName, url: &url::Url, token: Option<&Secret>) -> Result<()> {
        let exists = || Error::new(Code::ContextExists, format!("context {name} exists already"));
        if name.as_str() == LOCAL {
            return Err(exists().hint("local is the embedded control plane and is always there"));
        }
        files::change(&self.path()?, |document| {
            let table = document.entry("contexts").or_insert_with(|| {
                let mut table = Table::new();
                table.set_implicit(true);
                Item::Table(table)
            });
            let path = self.path()?;
            let table = table
                .as_table_like_mut()
                .ok_or_else(|| files::invalid(&path, "contexts is not a table"))?;
            if table.contains_key(name.as_str()) {
                return Err(exists().hint(format!("remove it first: torso context remove {name}")));
            }
            let mut server = Table::new();
            server["url"] = value(url.as_str());
            table.insert(name.as_str(), Item::Table(server));
            Ok(())
        })?;
        match token {
            Some(token) => files::change(&self.credentials_path()?, |document| {
                document["tokens"][name.as_str()] = value(token.expose());
                Ok(())
            }),
            None => Ok(()),
        }
    }

    /// Forgets a server and its token; where it was the current context, `local` is again.
    pub fn remove_context(&self, name: &ContextName) -> Result<()> {
        if name.as_str() == LOCAL {
            return Err(Error::new(
                Code::Conflict,
                "context local cannot be removed: it is the embedded control plane",
            ));
        }
        self.context(name)?;
        files::change(&self.path()?, |document| {
            if let Some(table) = document.get_mut("contexts").and_then(Item::as_table_like_mut) {
                table.remove(name.as_str());
            }
            if document.get("context").and_then(Item::as_str) == Some(name.as_str()) {
                document.remove("context");
            }
            Ok(())
        })?;
        let credentials = self.credentials_path()?;
        if credentials.exists() {
            files::change(&credentials, |document| {
                if let Some(table) = document.get_mut("tokens").and_then(Item::as_table_like_mut) {
                    table.remove(name.as_str());
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The server that the environment names, in place of any context.
    #[must_use]
    pub fn server_by_environment(&self) -> Option<(String, &'static str)> {
        [env::API_URL, env::TURSO_API_URL]
            .into_iter()
            .find_map(|name| Some((env::text(name)?, name)))
    }

    fn credentials_path(&self) -> Result<PathBuf> {
        Ok(self.config_dir()?.0.join("credentials.toml"))
    }
}
