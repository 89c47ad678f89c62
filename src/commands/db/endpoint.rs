//! A database of any context, as users name it: `app`, or `prod:app`.

use crate::context::Context;
use crate::control::names::{ContextName, DatabaseName};
use crate::error::{Error, Result};
use crate::settings::contexts::LOCAL;
use serde::Serialize;

/// A database, perhaps in another context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub context: Option<ContextName>,
    pub name: DatabaseName,
}

impl std::str::FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (context, name) = match text.split_once(':') {
            Some((context, name)) => (Some(context.parse()?), name),
            None => (None, text),
        };
        Ok(Self {
            context,
            name: name.parse()?,
        })
    }
}

impl Endpoint {
    /// The context that it names; none if it names none.
    pub fn elsewhere(&self, ctx: &Context) -> Option<Context> {
        self.context.as_ref().map(|name| ctx.elsewhere(name))
    }
}

/// A database with the context that it is in, as it is answered.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize, Clone, PartialEq)]
pub(super) struct QualifiedName {
    pub context: String,
    pub name: DatabaseName,
}

impl std::fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.context, self.name)
    }
}

impl QualifiedName {
    /// The database with its context's name, or the server's address where the environment names that.
    pub fn of(ctx: &Context, name: &DatabaseName) -> Result<Self> {
        let context = match ctx.settings.server()? {
            None => LOCAL.to_owned(),
            Some(server) => match server.context {
                Some(name) => name.to_string(),
                None => ctx.server()?.address(),
            },
        };
        Ok(Self {
            context,
            name: name.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_endpoint_is_parsed_with_and_without_a_context() {
        let end: Endpoint = "prod:app".parse().unwrap();
        assert_eq!(end.context.unwrap().as_str(), "prod");
        assert_eq!("app".parse::<Endpoint>().unwrap().context, None);
        for text in ["", ":", "prod:", ":app", "a:b:c", "../x"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
