//! `torso db config`: what can be set on a database.

use super::{expiry, near_miss};
use crate::commands::answers::{self, Done};
use crate::commands::values::Size;
use crate::commands::{DryRun, completers};
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::types::{Configuration, ConfigurationPatch, DatabaseExpiry};
use crate::error::{Code, Error, Result};
use crate::ui::{Card, Cell, Layout, View, text};
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

crate::commands::schemas::document!("db config show", "db config set" => Settings);

/// Show or change a database's settings
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Show(Show),
    Set(Set),
    #[command(subcommand, hide = true)]
    DeleteProtection(Switch),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Show(args) => show(ctx, args),
        Verb::Set(args) => set(ctx, &args),
        Verb::DeleteProtection(Switch::Show(args)) => show(ctx, args),
        Verb::DeleteProtection(Switch::Enable(args)) => protect(ctx, args.name, true),
        Verb::DeleteProtection(Switch::Disable(args)) => protect(ctx, args.name, false),
    }
}

/// Show a database's settings
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db config show app")]
pub(crate) struct Show {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
}

/// A database's settings as they are answered: sizes are numbers, which the API has as texts.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
pub(super) struct Settings {
    /// Bytes; 0 is unlimited.
    pub size_limit: u64,
    allow_attach: bool,
    block_reads: bool,
    block_writes: bool,
    delete_protection: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    expires_at: Option<Timestamp>,
}

impl Settings {
    pub fn of(configuration: &Configuration) -> Self {
        Self {
            size_limit: configuration.size_limit.parse().unwrap_or(0),
            allow_attach: configuration.allow_attach,
            block_reads: configuration.block_reads,
            block_writes: configuration.block_writes,
            delete_protection: configuration.delete_protection,
            expires_at: configuration.expires_at,
        }
    }
}

fn show(ctx: &Context, args: Show) -> Result<()> {
    let name = ctx.database(args.name)?;
    let configuration = ctx
        .control()?
        .get_configuration(&name)
        .map_err(|error| near_miss(ctx, &name, error))?;
    ctx.ui.show(&Settings::of(&configuration))
}

impl View for Settings {
    fn layout(&self) -> Layout {
        let limit = self.size_limit;
        let switch = |on: bool| Cell::text(on.to_string()).with_display(if on { "on" } else { "off" });
        Layout::Card(
            Card::default()
                .field(
                    "size-limit",
                    if limit == 0 {
                        Cell::number(0).with_display("none")
                    } else {
                        Cell::size(limit)
                    },
                )
                .field("delete-protection", switch(self.delete_protection))
                .field("block-reads", switch(self.block_reads))
                .field("block-writes", switch(self.block_writes))
                .field_if("expires", self.expires_at, Cell::time),
        )
    }

    fn names(&self) -> Vec<String> {
        ["size-limit", "delete-protection", "block-reads", "block-writes"]
            .map(str::to_owned)
            .to_vec()
    }
}

/// Change one of a database's settings
///
/// The value of size-limit is a size such as 64mb, or 0 for none. That of expires-in is a time such as 3d, or never. That of the
/// others is on or off.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db config set app size-limit 64mb
  torso db config set app delete-protection on")]
pub(crate) struct Set {
    /// Name of the database
    #[arg(value_name = "NAME", add = completers::databases())]
    name: DatabaseName,
    /// Name of the setting
    #[arg(value_name = "KEY", value_enum)]
    key: Setting,
    /// New value
    #[arg(value_name = "VALUE", add = completers::values_of_database_settings())]
    value: String,
    #[command(flatten)]
    dry: DryRun,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Setting {
    SizeLimit,
    DeleteProtection,
    BlockReads,
    BlockWrites,
    ExpiresIn,
}

fn set(ctx: &Context, args: &Set) -> Result<()> {
    let mut patch = ConfigurationPatch::default();
    let message = match args.key {
        Setting::SizeLimit => {
            let size: Size = args.value.parse()?;
            patch.size_limit = Some(size.0.to_string());
            if size.0 == 0 {
                "Lifted the size limit".to_owned()
            } else {
                format!("Set the size limit to {}", text::size(size.0))
            }
        }
        Setting::DeleteProtection => {
            let on = on_off(&args.value)?;
            patch.delete_protection = Some(on);
            protection_message(on).to_owned()
        }
        Setting::BlockReads => {
            let on = on_off(&args.value)?;
            patch.block_reads = Some(on);
            format!("{} reads", if on { "Blocked" } else { "Allowed" })
        }
        Setting::BlockWrites => {
            let on = on_off(&args.value)?;
            patch.block_writes = Some(on);
            format!("{} writes", if on { "Blocked" } else { "Allowed" })
        }
        Setting::ExpiresIn => match expiry::end_after(args.value.parse()?)? {
            Some(end) => {
                patch.expires_at = Some(DatabaseExpiry::At(end));
                format!("Set the end to {}", text::time(end))
            }
            None => {
                patch.expires_at = Some(DatabaseExpiry::Never);
                "Removed the end".to_owned()
            }
        },
    };
    if args.dry.dry_run {
        super::find(ctx, &args.name)?;
        return answers::plan(ctx, vec![format!("change a setting of database {}", args.name)]);
    }
    apply(ctx, &args.name, &patch, &message)
}

fn apply(ctx: &Context, name: &DatabaseName, patch: &ConfigurationPatch, message: &str) -> Result<()> {
    let configuration = ctx
        .control()?
        .update_configuration(name, patch)
        .map_err(|error| near_miss(ctx, name, error))?;
    ctx.ui.show(&Done::new(
        Settings::of(&configuration),
        name,
        format!("{message} for database {name}."),
    ))
}

fn protection_message(on: bool) -> &'static str {
    if on {
        "Turned delete protection on"
    } else {
        "Turned delete protection off"
    }
}

/// A switch's position.
pub(crate) fn on_off(text: &str) -> Result<bool> {
    match text {
        "on" | "true" | "yes" | "enable" => Ok(true),
        "off" | "false" | "no" | "disable" => Ok(false),
        _ => Err(Error::new(
            Code::InvalidValue,
            format!("{text:?} is neither on nor off"),
        )),
    }
}

/// Turn delete protection on or off, in the words of the Turso CLI
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Switch {
    /// Turn it on
    Enable(Show),
    /// Turn it off
    Disable(Show),
    /// Show whether it is on
    Show(Show),
}

fn protect(ctx: &Context, name: Option<DatabaseName>, on: bool) -> Result<()> {
    let name = ctx.database(name)?;
    let patch = ConfigurationPatch {
        delete_protection: Some(on),
        ..ConfigurationPatch::default()
    };
    apply(ctx, &name, &patch, protection_message(on))
}
