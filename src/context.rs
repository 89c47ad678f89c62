//! What every command receives: the streams, the settings, and the control plane, which is opened when first asked for.
//!
//! This is the only place that chooses a control plane.

use crate::control::ControlPlane;
use crate::control::accounts::Accounts;
use crate::control::client::{Client, Patience};
use crate::control::embedded::Embedded;
use crate::control::names::{ContextName, DatabaseName, OrganizationSlug};
use crate::error::{Code, Error, Result};
use crate::settings::Settings;
use crate::settings::contexts::Server;
use crate::settings::keys::Key;
use crate::ui::Ui;
use std::cell::OnceCell;

/// One command's surroundings.
pub struct Context {
    pub ui: Ui,
    pub settings: Settings,
    plane: OnceCell<Plane>,
    patience: Patience,
}

/// The control planes there are.
enum Plane {
    Embedded(Embedded),
    Server(Client),
}

impl Context {
    /// `stopped` tells whether Ctrl-C was pressed, while the command rather than the system sees to that.
    #[must_use]
    pub fn stopping(self, stopped: fn() -> bool) -> Self {
        let patience = Patience {
            stopped,
            ..self.patience
        };
        Self { patience, ..self }
    }

    #[must_use]
    pub fn new(ui: Ui, settings: Settings) -> Self {
        Self {
            ui,
            settings,
            plane: OnceCell::new(),
            patience: Patience::USUAL,
        }
    }

    /// For a person who waits at the Tab key: a server that does not answer at once is not asked.
    #[must_use]
    pub fn hurried(ui: Ui, settings: Settings) -> Self {
        Self {
            patience: Patience::HURRIED,
            ..Self::new(ui, settings)
        }
    }

    /// The same streams in another context.
    #[must_use]
    pub fn elsewhere(&self, name: &ContextName) -> Self {
        Self {
            patience: self.patience,
            ..Self::new(self.ui, self.settings.in_context(name))
        }
    }

    fn plane(&self) -> Result<&Plane> {
        if let Some(plane) = self.plane.get() {
            return Ok(plane);
        }
        let plane = match self.settings.server()? {
            Some(server) => Plane::Server(self.client(server)),
            None => Plane::Embedded(Embedded::open(&self.settings.data_dir()?.0)?),
        };
        Ok(self.plane.get_or_init(|| plane))
    }

    /// Warns of what a server listed that could not be understood.
    pub fn tell_skipped(&self) {
        if let Some(Plane::Server(client)) = self.plane.get() {
            for sentence in client.take_skipped() {
                self.ui.warn(sentence);
            }
        }
    }

    /// A client of a server. It sends nothing by itself.
    #[must_use]
    pub fn client(&self, server: Server) -> Client {
        let notes = self.settings.state_dir().map(|dir| dir.join("uploads"));
        Client::new(server.url, server.token, server.organization, self.patience).noting_uploads(notes)
    }

    /// The control plane of the current context.
    pub fn control(&self) -> Result<&dyn ControlPlane> {
        Ok(match self.plane()? {
            Plane::Embedded(embedded) => embedded,
            Plane::Server(client) => client,
        })
    }

    /// The server of the current context. The embedded control plane is none.
    pub fn server(&self) -> Result<&Client> {
        match self.plane()? {
            Plane::Server(client) => Ok(client),
            Plane::Embedded(_) => Err(Error::new(
                Code::Unsupported,
                "commands work on this machine, where there are no accounts, organizations or tokens",
            )
            .hint("add a server: torso context add NAME --url URL; or use one: --context NAME")),
        }
    }

    /// The server of the current context, if it is one.
    pub fn server_if_any(&self) -> Result<Option<&Client>> {
        Ok(match self.plane()? {
            Plane::Server(client) => Some(client),
            Plane::Embedded(_) => None,
        })
    }

    /// The accounts on the server of the current context.
    pub fn accounts(&self) -> Result<&dyn Accounts> {
        Ok(self.server()?)
    }

    /// The organization that commands work in: the one chosen, else the user's own.
    pub fn organization(&self) -> Result<OrganizationSlug> {
        let client = self.server()?;
        if let Some(slug) = client.organization() {
            return Ok(slug.clone());
        }
        let all = client.list_organizations()?;
        let personal = all
            .into_iter()
            .find(|organization| organization.kind == crate::control::accounts::OrganizationKind::Personal);
        personal.map(|organization| organization.slug).ok_or_else(|| {
            Error::new(Code::OrganizationNotFound, "you have no organization of your own")
                .hint("choose one: torso org switch NAME; torso org list shows yours")
        })
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
}
