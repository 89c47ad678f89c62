//! What every command receives: the streams, the settings, and the control plane, which is opened on first use.
//!
//! This is the only place that chooses a control plane.

use crate::control::client::{Client, RetryPolicy};
use crate::control::embedded::Embedded;
use crate::control::names::{ContextName, DatabaseName, OrganizationSlug};
use crate::control::types::Database;
use crate::control::{Accounts, ControlPlane, OrganizationOperations as _};
use crate::error::{Code, Error, Result};
use crate::fleet::OpenPlane;
use crate::settings::contexts::ServerSettings;
use crate::settings::keys::SettingKey;
use crate::settings::{ProjectContext, Settings};
use crate::ui::Ui;
use std::cell::OnceCell;
use std::time::{Duration, Instant};

/// The environment of one command.
pub struct Context {
    pub ui: Ui,
    pub settings: Settings,
    plane: OnceCell<Plane>,
    patience: RetryPolicy,
    /// For completion, which says nothing beside its answer.
    hurried: bool,
    /// Whether runs that were left behind are left to the command.
    leaves_runs: bool,
    /// The time that the command has; none if it has as much as it needs.
    pub time_limit: Option<Duration>,
}

/// The control plane of the current context.
enum Plane {
    Embedded(Embedded),
    Server(Client),
}

impl Plane {
    fn control(&self) -> &dyn ControlPlane {
        match self {
            Self::Embedded(embedded) => embedded,
            Self::Server(client) => client,
        }
    }
}

/// How a server is asked to clear up.
fn clearing_policy(limit: Option<Duration>) -> RetryPolicy {
    let usual = RetryPolicy::CLEARING;
    RetryPolicy {
        call: limit.map_or(usual.call, |limit| limit.min(usual.call)),
        ..usual
    }
}

impl Context {
    /// `stopped` tells whether Ctrl-C was pressed, while the command rather than the system sees to that.
    #[must_use]
    pub fn stopping(self, stopped: fn() -> bool) -> Self {
        let patience = RetryPolicy {
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
            patience: RetryPolicy::USUAL,
            hurried: false,
            leaves_runs: false,
            time_limit: None,
        }
    }

    /// What killed runs left is not destroyed before the command: see [`Self::reap_runs`].
    #[must_use]
    pub fn leaving_runs(self, leaves_runs: bool) -> Self {
        Self { leaves_runs, ..self }
    }

    /// The command has this time.
    #[must_use]
    pub fn within(self, time_limit: Option<Duration>) -> Self {
        Self { time_limit, ..self }
    }

    /// Servers are asked until then, for a command that says by itself when its time is up.
    #[must_use]
    pub fn asking_until(self, until: Option<Instant>) -> Self {
        let patience = RetryPolicy { until, ..self.patience };
        Self { patience, ..self }
    }

    /// The server of the current context, for clearing up: asked in spite of Ctrl-C, and given up after a moment, or after `limit`.
    /// None for the embedded control plane.
    pub fn clearing_client(&self, limit: Option<Duration>) -> Result<Option<Client>> {
        let client = self.server_if_any()?;
        Ok(client.map(|client| client.with_policy(clearing_policy(limit))))
    }

    /// For completion, where a person waits: with very short timeouts for a server.
    #[must_use]
    pub fn hurried(ui: Ui, settings: Settings) -> Self {
        Self {
            patience: RetryPolicy::HURRIED,
            hurried: true,
            ..Self::new(ui, settings)
        }
    }

    /// The same, but in another context.
    #[must_use]
    pub fn elsewhere(&self, name: &ContextName) -> Self {
        Self {
            patience: self.patience,
            ..Self::new(self.ui, self.settings.in_context(name))
        }
    }

    /// Has the user confirm something that cannot be undone; `assumed` is `--yes`. Where a project file leads commands to
    /// another context, `--yes` alone is no consent: whoever wrote it may not know, so the context has to be named.
    pub fn confirm(&self, assumed: bool, doing: &str, name: &str) -> Result<()> {
        let elsewhere = self
            .settings
            .project_context()?
            .filter(|project| project.leads_elsewhere);
        let Some(project) = elsewhere else {
            return self.ui.confirm(assumed, doing, name);
        };
        let ProjectContext {
            name: context, path, ..
        } = project;
        let doing = format!("{doing} in context {context} (named by {})", path.display());
        self.ui
            .confirm(false, &doing, name)
            .map_err(|error| match error.code() {
                Code::Unconfirmed if assumed => error.hint(format!("add --context {context} to go ahead there")),
                Code::Unconfirmed => error.hint(format!("add --context {context} --yes to go ahead there")),
                _ => error,
            })
    }

    /// Says which project files were passed over, and in which context a project file has commands work.
    fn print_project(&self) -> Result<()> {
        self.warn_of_ignored_project_files();
        if let Some(sentence) = self.settings.overruled_context()? {
            self.ui.warn(sentence);
        }
        if let Some(ProjectContext { name, path, .. }) = self.settings.project_context()? {
            self.ui
                .notice(format!("Working in context {name}, which {} names.", path.display()));
        }
        Ok(())
    }

    /// Warns about project files that were passed over.
    pub fn warn_of_ignored_project_files(&self) {
        for sentence in self.settings.take_passed_over() {
            self.ui.warn(sentence);
        }
    }

    fn plane(&self) -> Result<&Plane> {
        if let Some(plane) = self.plane.get() {
            return Ok(plane);
        }
        if !self.hurried {
            self.print_project()?;
        }
        let plane = match self.settings.server()? {
            Some(server) => Plane::Server(self.client(server)),
            None => Plane::Embedded(Embedded::open(&self.settings.data_dir()?.0)?),
        };
        let plane = self.plane.get_or_init(|| plane);
        if !self.hurried && !self.leaves_runs {
            let left = self.reap(plane);
            for (name, _) in left.iter().filter(|(_, error)| error.is_none()) {
                self.ui
                    .notice(format!("Destroyed database {name}, which an earlier torso run left."));
            }
        }
        Ok(plane)
    }

    /// Destroys what `torso run` left behind. With the names comes why a database is still there.
    fn reap(&self, plane: &Plane) -> Vec<(DatabaseName, Option<Error>)> {
        #[cfg(unix)]
        match plane {
            Plane::Embedded(embedded) => crate::ephemeral::reap(&self.settings, embedded),
            Plane::Server(client) => {
                let policy = RetryPolicy {
                    until: self.patience.until,
                    ..clearing_policy(None)
                };
                crate::ephemeral::reap(&self.settings, &client.with_policy(policy))
            }
        }
        #[cfg(not(unix))]
        {
            let _ = plane;
            Vec::new()
        }
    }

    /// The same, for a command that was to do it.
    pub fn reap_runs(&self) -> Result<Vec<(DatabaseName, Option<Error>)>> {
        Ok(self.reap(self.plane()?))
    }

    /// The names of the databases of which [`Self::reap_runs`] would destroy those that are there and not protected.
    pub fn left_runs(&self) -> Result<Vec<DatabaseName>> {
        #[cfg(unix)]
        return crate::ephemeral::list_left(&self.settings);
        #[cfg(not(unix))]
        Ok(Vec::new())
    }

    /// Warns about items of a server's lists that could not be read.
    pub fn warn_of_skipped_items(&self) {
        if let Some(Plane::Server(client)) = self.plane.get() {
            for sentence in client.take_skipped() {
                self.ui.warn(sentence);
            }
        }
    }

    /// A client of a server. Nothing is sent yet.
    #[must_use]
    pub fn client(&self, server: ServerSettings) -> Client {
        let notes = self.settings.state_dir().map(|dir| dir.join("uploads"));
        Client::new(server.url, server.token, server.organization, self.patience).noting_uploads(notes)
    }

    /// The control plane of the current context.
    pub fn control(&self) -> Result<&dyn ControlPlane> {
        Ok(self.plane()?.control())
    }

    /// Returns a function that opens the control plane of the current context once more, on another thread.
    pub fn plane_opener(&self, listed: Vec<Database>) -> Result<Box<OpenPlane>> {
        Ok(match self.plane()? {
            Plane::Server(client) => {
                let again = client.again_for(listed);
                Box::new(move || Ok(Box::new(again())))
            }
            Plane::Embedded(_) => {
                let (directory, _) = self.settings.data_dir()?;
                Box::new(move || Ok(Box::new(Embedded::open(&directory)?)))
            }
        })
    }

    /// The server of the current context, or an error for the embedded control plane.
    pub fn server(&self) -> Result<&Client> {
        match self.plane()? {
            Plane::Server(client) => Ok(client),
            Plane::Embedded(_) => Err(Error::new(
                Code::Unsupported,
                "the context is local, and this command needs a server",
            )
            .hint("torso context list shows the contexts; torso context add NAME --url URL adds a server")),
        }
    }

    /// The server of the current context; none for the embedded control plane.
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

    /// The organization that commands work in: the one that was chosen, else the user's personal one.
    pub fn organization(&self) -> Result<OrganizationSlug> {
        let client = self.server()?;
        if let Some(slug) = client.organization() {
            return Ok(slug.clone());
        }
        let all = client.list_organizations()?;
        // A token for one organization sees no other.
        let only = all.first().filter(|_| all.len() == 1).cloned();
        let personal = all
            .into_iter()
            .find(|organization| organization.kind == crate::control::accounts::OrganizationKind::Personal);
        personal.or(only).map(|organization| organization.slug).ok_or_else(|| {
            Error::new(Code::OrganizationNotFound, "you have no organization of your own")
                .hint("choose one: torso org switch NAME; torso org list shows yours")
        })
    }

    /// The database that a command is about: the one named, else the project's.
    pub fn database(&self, named: Option<DatabaseName>) -> Result<DatabaseName> {
        if let Some(name) = named {
            return Ok(name);
        }
        match self.settings.get(SettingKey::Database)? {
            Some((name, _)) => name.parse(),
            None => Err(Error::new(Code::Usage, "no database is named")
                .hint("name one, or have this folder mean one: torso link NAME; torso db list shows them")),
        }
    }
}
