//! Directories, settings, the project file and contexts.
//!
//! A value comes from, in this order: a flag, the environment, the project file (`.torso.toml` in this directory or one
//! above), the user's settings (`config.toml`), a default. [`Settings::get`] answers with the value and its [`SettingOrigin`].
//! Files are read only when something asks; `files` changes them safely; `keys` lists the settings; `contexts` holds the
//! servers; `project` reads the project file; `env` lists every environment variable.

pub mod contexts;
pub mod env;
pub mod files;
pub mod keys;
mod project;
pub mod server_url;

pub use project::PROJECT_FILE;

use crate::control::names::{ContextName, DatabaseName};
use crate::error::{Code, Error, Result};
use keys::SettingKey;
use project::Project;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use toml_edit::DocumentMut;

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    Flag(&'static str),
    Environment(&'static str),
    Project(PathBuf),
    User(PathBuf),
    Default,
}

impl SettingOrigin {
    /// One word, for scripts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Flag(_) => "flag",
            Self::Environment(_) => "environment",
            Self::Project(_) => "project",
            Self::User(_) => "settings",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Project(path) => write!(f, "project file {}", path.display()),
            Self::User(path) => write!(f, "settings {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Settings given on the command line.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub config_dir: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub context: Option<String>,
    pub organization: Option<String>,
}

/// The settings that are in effect for this command.
#[derive(Debug)]
pub struct Settings {
    overrides: Overrides,
    user: RefCell<Option<Rc<DocumentMut>>>,
    project: OnceCell<Project>,
    passed_over_told: Cell<bool>,
}

impl Settings {
    /// Settings with these overrides. No file is read yet.
    #[must_use]
    pub fn new(overrides: Overrides) -> Self {
        Self {
            overrides,
            user: RefCell::default(),
            project: OnceCell::new(),
            passed_over_told: Cell::new(false),
        }
    }

    /// The settings as they would be with `--context`.
    #[must_use]
    pub fn in_context(&self, name: &ContextName) -> Self {
        Self::new(Overrides {
            context: Some(name.to_string()),
            // The organization belongs to the other context.
            organization: None,
            ..self.overrides.clone()
        })
    }

    /// The directory of the settings, and where that was found.
    pub fn config_dir(&self) -> Result<(PathBuf, SettingOrigin)> {
        directory(
            &self.overrides.config_dir,
            "--config-dir",
            env::CONFIG_DIR,
            dirs::config_dir,
        )
    }

    /// The directory of the embedded control plane, and where that was found.
    pub fn data_dir(&self) -> Result<(PathBuf, SettingOrigin)> {
        directory(
            &self.overrides.data_dir,
            "--data-dir",
            env::DATA_DIR,
            dirs::data_local_dir,
        )
    }

    /// The data directory where none is named. None without a home directory.
    #[must_use]
    pub fn default_data_dir() -> Option<PathBuf> {
        dirs::data_local_dir().map(|directory| directory.join("torso"))
    }

    /// The directory of data that may be lost, such as shell histories. None without a home directory.
    #[must_use]
    pub fn state_dir(&self) -> Option<PathBuf> {
        dirs::state_dir()
            .or_else(dirs::data_local_dir)
            .map(|directory| directory.join("torso"))
    }

    /// The settings file. It need not exist.
    pub fn path(&self) -> Result<PathBuf> {
        Ok(self.config_dir()?.0.join("config.toml"))
    }

    /// The project file in effect, if there is one.
    pub fn project_path(&self) -> Result<Option<&Path>> {
        Ok(self.project()?.file.as_ref().map(|(path, _)| path.as_path()))
    }

    /// A setting's value and where it was found; none if it is not set and has no default.
    pub fn get(&self, key: SettingKey) -> Result<Option<(String, SettingOrigin)>> {
        if key == SettingKey::Context {
            if let Some(name) = &self.overrides.context {
                return Ok(Some((name.clone(), SettingOrigin::Flag("--context"))));
            }
            if let Some(name) = env::text(env::CONTEXT) {
                return Ok(Some((name, SettingOrigin::Environment(env::CONTEXT))));
            }
        }
        if SettingKey::PROJECT.contains(&key)
            && let Some((path, document)) = &self.project()?.file
            && let Some(value) = project::value(path, document, key)?
        {
            return Ok(Some((value, SettingOrigin::Project(path.clone()))));
        }
        if SettingKey::USER.contains(&key)
            && let Some(value) = self.user_value(key)?
        {
            return Ok(Some((value, SettingOrigin::User(self.path()?))));
        }
        Ok(match key {
            SettingKey::Context => Some((contexts::LOCAL.to_owned(), SettingOrigin::Default)),
            SettingKey::Output => Some(("table".to_owned(), SettingOrigin::Default)),
            SettingKey::Color => Some(("auto".to_owned(), SettingOrigin::Default)),
            SettingKey::DefaultGroup | SettingKey::DefaultLocation | SettingKey::Database => None,
        })
    }

    /// The value in the settings file itself.
    pub fn user_value(&self, key: SettingKey) -> Result<Option<String>> {
        let path = self.path()?;
        let value = text_of(&path, &*self.user()?, key.name())?;
        if let Some(value) = &value {
            key.check(value)
                .map_err(|error| files::invalid(&path, &error.to_string()))?;
        }
        Ok(value)
    }

    /// Writes a setting, or removes it.
    pub fn set(&self, key: SettingKey, value: Option<&str>) -> Result<()> {
        if let Some(value) = value {
            key.check(value)?;
        }
        self.change_user(|document| {
            match value {
                Some(value) => document[key.name()] = toml_edit::value(value),
                None => {
                    document.remove(key.name());
                }
            }
            Ok(())
        })
    }

    /// The content of the settings file. It is read once, and again after [`Settings::change_user`].
    pub(crate) fn user(&self) -> Result<Rc<DocumentMut>> {
        if let Some(document) = &*self.user.borrow() {
            return Ok(Rc::clone(document));
        }
        let document = Rc::new(files::read(&self.path()?)?);
        *self.user.borrow_mut() = Some(Rc::clone(&document));
        Ok(document)
    }

    /// Changes the settings file: the only way to do so, after which what was read before is not believed any more.
    pub(crate) fn change_user<T>(&self, change: impl FnOnce(&mut DocumentMut) -> Result<T>) -> Result<T> {
        let changed = files::change(&self.path()?, change);
        self.user.take();
        changed
    }

    fn project(&self) -> Result<&Project> {
        if let Some(found) = self.project.get() {
            return Ok(found);
        }
        let found = project::find()?;
        Ok(self.project.get_or_init(|| found))
    }

    /// Writes a database and its context into a project file, or removes both. False if nothing had to be changed.
    pub fn link_project(&self, path: &Path, database: Option<(&DatabaseName, Option<&str>)>) -> Result<bool> {
        project::link(path, database.map(|(name, context)| (name.as_str(), context)))
    }

    /// Sentences about project files that were not used, once.
    pub fn take_passed_over(&self) -> Vec<String> {
        match self.project.get() {
            Some(project) if !self.passed_over_told.replace(true) => project.passed_over.clone(),
            _ => Vec::new(),
        }
    }

    /// The name of the context in which commands work; none where the environment names a server.
    pub fn current_context(&self) -> Result<Option<String>> {
        if self.environment_server().is_some() {
            return Ok(None);
        }
        Ok(self.get(SettingKey::Context)?.map(|(name, _)| name))
    }

    /// A sentence about a context that was chosen for this very command or directory, and loses to the server that the
    /// environment names. None where there is no such.
    pub fn overruled_context(&self) -> Result<Option<String>> {
        let Some((_, variable)) = self.environment_server() else {
            return Ok(None);
        };
        Ok(match self.get(SettingKey::Context)? {
            Some((name, origin @ (SettingOrigin::Environment(_) | SettingOrigin::Project(_)))) => Some(format!(
                "the {variable} variable names the server, so context {name} ({origin}) is not used; --context {name} would be"
            )),
            _ => None,
        })
    }

    /// The context that a project file chose, the file, and whether commands would work elsewhere without it.
    pub fn project_context(&self) -> Result<Option<ProjectContext>> {
        if self.environment_server().is_some() {
            return Ok(None);
        }
        let Some((name, SettingOrigin::Project(path))) = self.get(SettingKey::Context)? else {
            return Ok(None);
        };
        let otherwise = self
            .user_value(SettingKey::Context)?
            .unwrap_or_else(|| contexts::LOCAL.to_owned());
        Ok(Some(ProjectContext {
            leads_elsewhere: name != otherwise,
            name,
            path,
        }))
    }
}

/// A context that a project file chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectContext {
    pub name: String,
    pub path: PathBuf,
    /// Whether commands would work in another context without the file.
    pub leads_elsewhere: bool,
}

fn text_of(path: &Path, document: &DocumentMut, key: &str) -> Result<Option<String>> {
    match document.get(key) {
        None => Ok(None),
        Some(item) => match item.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(files::invalid(path, &format!("{key} is not a text in quotes"))),
        },
    }
}

fn directory(
    flag: &Option<PathBuf>,
    flag_name: &'static str,
    variable: &'static str,
    standard: fn() -> Option<PathBuf>,
) -> Result<(PathBuf, SettingOrigin)> {
    if let Some(dir) = flag {
        return Ok((dir.clone(), SettingOrigin::Flag(flag_name)));
    }
    if let Some(dir) = env::get(variable) {
        return Ok((dir.into(), SettingOrigin::Environment(variable)));
    }
    standard()
        .map(|dir| (dir.join("torso"), SettingOrigin::Default))
        .ok_or_else(|| {
            Error::new(
                Code::InvalidSettings,
                "cannot tell where files belong: there is no home directory",
            )
            .hint(format!("set HOME, or {variable}, or pass {flag_name}"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn settings(dir: &Path) -> Settings {
        Settings::new(Overrides {
            config_dir: Some(dir.to_owned()),
            ..Overrides::default()
        })
    }

    #[test]
    fn setting_value_comes_from_the_nearest_source() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        assert_eq!(
            settings(dir.path()).get(SettingKey::Output).unwrap(),
            Some(("table".into(), SettingOrigin::Default))
        );
        assert_eq!(settings(dir.path()).get(SettingKey::DefaultLocation).unwrap(), None);
        settings(dir.path()).set(SettingKey::Output, Some("json")).unwrap();
        assert_eq!(
            settings(dir.path()).get(SettingKey::Output).unwrap(),
            Some(("json".into(), SettingOrigin::User(path)))
        );
        settings(dir.path()).set(SettingKey::Output, None).unwrap();
        assert_eq!(
            settings(dir.path()).get(SettingKey::Output).unwrap(),
            Some(("table".into(), SettingOrigin::Default))
        );
        let flagged = Settings::new(Overrides {
            config_dir: Some(dir.path().to_owned()),
            context: Some("there".into()),
            ..Overrides::default()
        });
        assert_eq!(
            flagged.get(SettingKey::Context).unwrap(),
            Some(("there".into(), SettingOrigin::Flag("--context")))
        );
    }

    #[test]
    fn setting_value_that_is_invalid_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            settings(dir.path())
                .set(SettingKey::Output, Some("yaml"))
                .unwrap_err()
                .code(),
            Code::InvalidValue
        );
        assert!(!dir.path().join("config.toml").exists());
        std::fs::write(dir.path().join("config.toml"), "output = 3").unwrap();
        let error = settings(dir.path()).get(SettingKey::Output).unwrap_err();
        assert_eq!(error.code(), Code::InvalidSettings);
        assert!(error.message().contains("config.toml"), "{error}");
    }

    #[test]
    fn context_is_added_and_removed_with_its_token() {
        let dir = tempfile::tempdir().unwrap();
        let here = || settings(dir.path());
        let prod: crate::control::names::ContextName = "prod".parse().unwrap();
        let url = url::Url::parse("https://torso.example").unwrap();
        here()
            .add_context(&prod, &url, Some(&Secret::new("s3cret".into())))
            .unwrap();
        assert_eq!(
            here().add_context(&prod, &url, None).unwrap_err().code(),
            Code::ContextExists
        );
        assert!(here().context(&prod).unwrap().has_token);
        let main = std::fs::read_to_string(dir.path().join("config.toml")).unwrap();
        assert!(!main.contains("s3cret"), "{main}");
        here().set(SettingKey::Context, Some("prod")).unwrap();
        here().remove_context(&prod).unwrap();
        assert_eq!(here().context(&prod).unwrap_err().code(), Code::ContextNotFound);
        assert_eq!(
            here().get(SettingKey::Context).unwrap(),
            Some((contexts::LOCAL.into(), SettingOrigin::Default))
        );
        let tokens = std::fs::read_to_string(dir.path().join("credentials.toml")).unwrap();
        assert!(!tokens.contains("s3cret"), "{tokens}");
        let local = contexts::LOCAL.parse().unwrap();
        assert_eq!(here().remove_context(&local).unwrap_err().code(), Code::Conflict);
    }
}
