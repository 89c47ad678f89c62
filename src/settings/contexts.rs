//! Contexts: the control planes a user works with, by name. The embedded one, `local`, is always there; others are
//! servers, kept in the settings file, with their tokens in a file of their own.

use super::keys::SettingKey;
use super::server_url::parse_server_url;
use super::{SettingOrigin, Settings, env, files};
use crate::control::names::{ContextName, OrganizationSlug};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use std::path::PathBuf;
use toml_edit::{Item, Table, value};

/// The embedded control plane's context.
pub const LOCAL: &str = "local";

/// A context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedContext {
    pub name: ContextName,
    /// None for the embedded control plane.
    pub url: Option<String>,
    pub has_token: bool,
    /// The organization chosen in it; none for the user's personal one.
    pub organization: Option<OrganizationSlug>,
}

/// A server that commands work on, and the token to use.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The context's name; none if the environment names the server.
    pub context: Option<ContextName>,
    pub url: url::Url,
    pub token: Option<Secret>,
    /// Where the token was found.
    pub token_origin: Option<SettingOrigin>,
    pub organization: Option<OrganizationSlug>,
}

/// The hosts of Turso Cloud: the only ones that a token for Turso Cloud in the environment is meant for, unless the
/// environment names the server as well.
fn is_turso_cloud(url: &url::Url) -> bool {
    url.host_str()
        .is_some_and(|host| host == "turso.tech" || host.ends_with(".turso.tech"))
}

impl ServerSettings {
    /// Whether it is Turso Cloud.
    #[must_use]
    pub fn is_turso_cloud(&self) -> bool {
        is_turso_cloud(&self.url)
    }
}

impl Settings {
    /// The server that commands work on; none for the embedded control plane.
    pub fn server(&self) -> Result<Option<ServerSettings>> {
        let named = self.get(SettingKey::Context)?;
        let requested = match (&self.overrides.organization, env::text(env::ORG)) {
            (Some(slug), _) => Some(slug.parse()?),
            (None, Some(slug)) => Some(slug.parse()?),
            (None, None) => None,
        };
        if let Some((url, variable)) = self.environment_server() {
            let url = parse_server_url(&url).map_err(|why| {
                Error::new(
                    Code::InvalidSettings,
                    format!("the variable {variable} is not a server's address: {why}"),
                )
                .hint("write it like https://torso.example.com, without a user name")
            })?;
            let token = [env::TOKEN, env::TURSO_TOKEN]
                .into_iter()
                .find_map(|name| Some((Secret::new(env::text(name)?), SettingOrigin::Environment(name))));
            let (token, token_origin) = token.unzip();
            return Ok(Some(ServerSettings {
                context: None,
                url,
                token,
                token_origin,
                organization: requested,
            }));
        }
        let Some((name, _)) = named.filter(|(name, _)| name != LOCAL) else {
            return Ok(None);
        };
        let context = self.context(&name.parse()?)?;
        let Some(url) = &context.url else { return Ok(None) };
        let path = self.path()?;
        let url = parse_server_url(url).map_err(|why| {
            files::invalid(
                &path,
                &format!("contexts.{name} has a url that is no server's address: {why}"),
            )
        })?;
        let variables: &[&'static str] = if is_turso_cloud(&url) {
            &[env::TOKEN, env::TURSO_TOKEN]
        } else {
            &[env::TOKEN]
        };
        let name = variables
            .iter()
            .find_map(|name| Some((Secret::new(env::text(name)?), SettingOrigin::Environment(name))));
        let (token, token_origin) = match name {
            Some(name) => Some(name),
            None => self.stored_token(&context.name)?.map(|token| {
                (
                    token,
                    self.credentials_path()
                        .map_or(SettingOrigin::Default, SettingOrigin::User),
                )
            }),
        }
        .unzip();
        Ok(Some(ServerSettings {
            organization: requested.or(context.organization),
            context: Some(context.name),
            url,
            token,
            token_origin,
        }))
    }

    /// The organization given with `--org`.
    pub fn organization_flag(&self) -> Result<Option<OrganizationSlug>> {
        self.overrides.organization.as_deref().map(str::parse).transpose()
    }

    /// The stored token of a context.
    pub fn stored_token(&self, name: &ContextName) -> Result<Option<Secret>> {
        let path = self.credentials_path()?;
        let tokens = files::read(&path)?;
        let found = tokens.get("tokens").and_then(|table| table.get(name.as_str()));
        match found.map(Item::as_str) {
            None => Ok(None),
            Some(Some(token)) => Ok(Some(Secret::new(token.to_owned()))),
            Some(None) => Err(files::invalid(&path, &format!("tokens.{name} is not a text in quotes"))),
        }
    }

    /// Stores a token for a context, or removes it. Returns whether there was one before.
    pub fn store_token(&self, name: &ContextName, token: Option<&Secret>) -> Result<bool> {
        let path = self.credentials_path()?;
        if token.is_none() && !path.exists() {
            return Ok(false);
        }
        files::change(&path, |document| {
            let had = document
                .get("tokens")
                .is_some_and(|table| table.get(name.as_str()).is_some());
            match token {
                Some(token) => document["tokens"][name.as_str()] = value(token.expose()),
                None => {
                    if let Some(table) = document.get_mut("tokens").and_then(Item::as_table_like_mut) {
                        table.remove(name.as_str());
                    }
                }
            }
            Ok(had)
        })
    }

    /// Sets the organization of a context; none for the user's personal one.
    pub fn set_organization(&self, name: &ContextName, organization: Option<&OrganizationSlug>) -> Result<()> {
        self.change_user(|document| {
            let context = document
                .get_mut("contexts")
                .and_then(|contexts| contexts.get_mut(name.as_str()))
                .and_then(Item::as_table_like_mut)
                .ok_or_else(|| Error::new(Code::ContextNotFound, format!("there is no context {name}")))?;
            match organization {
                Some(slug) => {
                    context.insert("organization", value(slug.as_str()));
                }
                None => {
                    context.remove("organization");
                }
            }
            Ok(())
        })
    }

    /// All contexts, `local` first.
    pub fn contexts(&self) -> Result<Vec<NamedContext>> {
        let mut found = vec![NamedContext {
            name: LOCAL.parse()?,
            url: None,
            has_token: false,
            organization: None,
        }];
        let path = self.path()?;
        let tokens = files::read(&self.credentials_path()?)?;
        let user = self.user()?;
        let Some(servers) = user.get("contexts") else {
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
            let organization = server
                .get("organization")
                .and_then(Item::as_str)
                .map(str::parse)
                .transpose()
                .map_err(|error: Error| files::invalid(&path, &format!("contexts.{name}: {error}")))?;
            found.push(NamedContext {
                name: parsed,
                organization,
                url: Some(url.to_owned()),
                has_token: tokens.get("tokens").and_then(|table| table.get(name)).is_some(),
            });
        }
        Ok(found)
    }

    /// The context of that name.
    pub fn context(&self, name: &ContextName) -> Result<NamedContext> {
        let all = self.contexts()?;
        let known: Vec<String> = all.iter().map(|context| context.name.to_string()).collect();
        all.into_iter().find(|context| context.name == *name).ok_or_else(|| {
            Error::new(Code::ContextNotFound, format!("there is no context {name}")).hint(format!(
                "contexts are {}; add one with torso context add {name} --url URL",
                known.join(", ")
            ))
        })
    }

    /// Adds a server as a context, with its token.
    pub fn add_context(&self, name: &ContextName, url: &url::Url, token: Option<&Secret>) -> Result<()> {
        let exists = || Error::new(Code::ContextExists, format!("context {name} exists already"));
        if name.as_str() == LOCAL {
            return Err(exists().hint("local is the embedded control plane and is always there"));
        }
        self.change_user(|document| {
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
            Some(token) => self.store_token(name, Some(token)).map(drop),
            None => Ok(()),
        }
    }

    /// Removes a context and its token. If it was the current one, `local` is the current one again.
    pub fn remove_context(&self, name: &ContextName) -> Result<()> {
        if name.as_str() == LOCAL {
            return Err(Error::new(
                Code::Conflict,
                "context local cannot be removed: it is the embedded control plane",
            ));
        }
        self.context(name)?;
        self.change_user(|document| {
            if let Some(table) = document.get_mut("contexts").and_then(Item::as_table_like_mut) {
                table.remove(name.as_str());
            }
            if document.get("context").and_then(Item::as_str) == Some(name.as_str()) {
                document.remove("context");
            }
            Ok(())
        })?;
        self.store_token(name, None).map(drop)
    }

    /// The server that the environment names, and the variable. It takes precedence over every context but that of a flag,
    /// with which there is none.
    #[must_use]
    pub fn environment_server(&self) -> Option<(String, &'static str)> {
        if self.overrides.context.is_some() {
            return None;
        }
        [env::API_URL, env::TURSO_API_URL]
            .into_iter()
            .find_map(|name| Some((env::text(name)?, name)))
    }

    fn credentials_path(&self) -> Result<PathBuf> {
        Ok(self.config_dir()?.0.join("credentials.toml"))
    }
}
