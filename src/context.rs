//! What every command receives: the streams, the settings, and the control plane, which is opened when first asked for.
//!
//! This is the only place that chooses a control plane.

use crate::control::ControlPlane;
use crate::control::names::{ContextName, DatabaseName};
use crate::error::{Code, Error, Result};
use crate::settings::keys::Key;
use crate::settings::{Settings, contexts};
use crate::ui::Ui;
use std::cell::OnceCell;

/// One command's surroundings.
pub struct Context {
    pub ui: Ui,
    pub settings: Settings,
    plane: OnceCell<Box<dyn ControlPlane>>,
}

impl Context {
    #[must_use]
    pub fn new(ui: Ui, settings: Settings) -> Self {
        Self {
            ui,
            settings,
            plane: OnceCell::new(),
        }
    }

    /// The control plane of the current context.
    pub fn control(&self) -> Result<&dyn ControlPlane> {
        if let Some(plane) = self.plane.get() {
            return Ok(plane.as_ref());
        }
        self.refuse_servers()?;
        let (dir, _) = self.settings.data_dir()?;
        let plane = crate::control::embedded::Embedded::open(&dir)?;
        Ok(self.plane.get_or_init(|| Box::new(plane)).as_ref())
    }

    /// The database a command means: the one named, else the project's.
    pub fn database(&self, named: Option<DatabaseName>) -> Result<DatabaseName> {
        if let Some(name) = named {
            return Ok(name);
        }
        match self.settings.get(Key::Database)? {
            Some((name, _)) => name.parse(),
            None => Err(Error::new(Code::Usage, "no database is named")
                .hint("name one, or write database = \"NAME\" into .torso.toml; torso db list shows them")),
        }
    }

    /// Only the embedded control plane can be used so far; a context that is a server says so.
    fn refuse_servers(&self) -> Result<()> {
        let refuse = |what: String| {
            Err(Error::new(
                Code::Unsupported,
                format!("{what}, and this version speaks only to the embedded control plane"),
            )
            .hint("add --context local to work on this machine"))
        };
        let named = self.settings.get(Key::Context)?;
        let explicit = matches!(named, Some((_, crate::settings::Origin::Flag(_))));
        if !explicit && let Some((url, variable)) = self.settings.server_by_environment() {
            return refuse(format!("{variable} names the server {url:?}"));
        }
        let Some((name, _)) = named else { return Ok(()) };
        if name == contexts::LOCAL {
            return Ok(());
        }
        let context = self.settings.context(&name.parse::<ContextName>()?)?;
        match context.url {
            Some(url) => refuse(format!("context {name} is the server {url:?}")),
            None => Ok(()),
        }
    }
}
