//! The settings a user can have: their names, what they mean, and what values they take.

use crate::control::names::{ContextName, DatabaseName, GroupName, LocationCode};
use crate::error::{Code, Error, Result};
use crate::ui::{Color, Format};
use clap::ValueEnum as _;

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Context,
    DefaultGroup,
    DefaultLocation,
    Output,
    Color,
    /// Only in a project file.
    Database,
}

impl Key {
    /// Those that live in the settings file.
    pub const USER: [Self; 5] = [
        Self::Context,
        Self::DefaultGroup,
        Self::DefaultLocation,
        Self::Output,
        Self::Color,
    ];
    /// Those that a project file may have.
    pub const PROJECT: [Self; 4] = [Self::Context, Self::Database, Self::DefaultGroup, Self::DefaultLocation];

    /// The name in the settings file and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::DefaultGroup => "default_group",
            Self::DefaultLocation => "default_location",
            Self::Output => "output",
            Self::Color => "color",
            Self::Database => "database",
        }
    }

    /// The name in a project file, where "default" goes without saying.
    #[must_use]
    pub fn project_name(self) -> &'static str {
        match self {
            Self::DefaultGroup => "group",
            Self::DefaultLocation => "location",
            key => key.name(),
        }
    }

    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Context => "Context that commands work in",
            Self::DefaultGroup => "Group of new databases",
            Self::DefaultLocation => "Location of new databases",
            Self::Output => "Form of answers",
            Self::Color => "When to colour",
            Self::Database => "Database that commands mean when none is named",
        }
    }

    /// Refuses a value that the setting cannot have.
    pub fn check(self, value: &str) -> Result<()> {
        let checked = match self {
            Self::Context => value.parse::<ContextName>().map(drop),
            Self::DefaultGroup => value.parse::<GroupName>().map(drop),
            Self::DefaultLocation => value.parse::<LocationCode>().map(drop),
            Self::Database => value.parse::<DatabaseName>().map(drop),
            Self::Output => one_of::<Format>(value),
            Self::Color => one_of::<Color>(value),
        };
        checked.map_err(|error| {
            let told = Error::new(
                Code::InvalidValue,
                format!("{} cannot be {value:?}: {error}", self.name()),
            );
            match error.hint_text() {
                Some(hint) => told.hint(hint),
                None => told,
            }
        })
    }
}

fn one_of<T: clap::ValueEnum>(value: &str) -> Result<()> {
    T::from_str(value, false).map(drop).map_err(|_| {
        let known: Vec<_> = T::value_variants()
            .iter()
            .filter_map(|v| Some(v.to_possible_value()?.get_name().to_owned()))
            .collect();
        Error::new(Code::InvalidValue, format!("it is one of {}", known.join(", ")))
    })
}

impl std::str::FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::USER.into_iter().find(|key| key.name() == text).ok_or_else(|| {
            let known: Vec<_> = Self::USER.iter().map(|key| key.name()).collect();
            Error::new(Code::SettingNotFound, format!("there is no setting {text:?}"))
                .hint(format!("settings are {}", known.join(", ")))
        })
    }
}

/// The form of answers, from a checked value.
#[must_use]
pub fn format(value: &str) -> Option<Format> {
    Format::from_str(value, false).ok()
}

/// When to colour, from a checked value.
#[must_use]
pub fn color(value: &str) -> Option<Color> {
    Color::from_str(value, false).ok()
}
