//! The settings that users can change: their names, meanings and values.

use crate::control::names::{ContextName, DatabaseName, GroupName, LocationCode};
use crate::error::{Code, Error, Result};
use crate::ui::{Color, OutputFormat};
use clap::ValueEnum;

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKey {
    Context,
    DefaultGroup,
    DefaultLocation,
    Output,
    Color,
    /// Only in a project file.
    Database,
}

impl SettingKey {
    /// The settings of the settings file.
    pub const USER: [Self; 5] = [
        Self::Context,
        Self::DefaultGroup,
        Self::DefaultLocation,
        Self::Output,
        Self::Color,
    ];
    /// The settings that a project file may have.
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

    /// The name in a project file, without `default-`.
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
            Self::Output => "Output format",
            Self::Color => "When to colour",
            Self::Database => "Database that commands mean when none is named",
        }
    }

    /// Checks a value for the setting.
    pub fn check(self, value: &str) -> Result<()> {
        let checked = match self {
            Self::Context => value.parse::<ContextName>().map(drop),
            Self::DefaultGroup => value.parse::<GroupName>().map(drop),
            Self::DefaultLocation => value.parse::<LocationCode>().map(drop),
            Self::Database => value.parse::<DatabaseName>().map(drop),
            Self::Output => one_of::<OutputFormat>(value),
            Self::Color => one_of::<Color>(value),
        };
        checked.map_err(|error| {
            let refused = Error::new(
                Code::InvalidValue,
                format!("{} cannot be {value:?}: {error}", self.name()),
            );
            match error.hint_text() {
                Some(hint) => refused.hint(hint),
                None => refused,
            }
        })
    }
}

/// Checks that a value is one of those that the option of the same name takes.
fn one_of<T: ValueEnum>(value: &str) -> Result<()> {
    let known: Vec<String> = T::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value)
        .map(|known| known.get_name().to_owned())
        .collect();
    if known.iter().any(|known| known == value) {
        return Ok(());
    }
    Err(Error::new(
        Code::InvalidValue,
        format!("it is one of {}", known.join(", ")),
    ))
}

impl std::str::FromStr for SettingKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::USER.into_iter().find(|key| key.name() == text).ok_or_else(|| {
            let known: Vec<_> = Self::USER.iter().map(|key| key.name()).collect();
            Error::new(Code::SettingNotFound, format!("there is no setting {text:?}"))
                .hint(format!("settings are {}", known.join(", ")))
        })
    }
}
