//! `torso group config`: the settings of a group.

use super::One;
use crate::commands::answers::{self, Done};
use crate::commands::db::on_off;
use crate::commands::{DryRun, completers};
use crate::context::Context;
use crate::control::names::GroupName;
use crate::control::types::{GroupConfiguration, GroupConfigurationPatch, Isolation};
use crate::error::Result;
use crate::ui::{Card, Cell, Layout, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("group config show", "group config set" => GroupConfigurationView);

/// Show or change a group's settings
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Show(ShowConfig),
    Set(SetConfig),
    #[command(subcommand, hide = true)]
    DeleteProtection(Switch),
}

/// Turn delete protection on or off, in the words of the Turso CLI
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Switch {
    /// Turn it on
    Enable(One),
    /// Turn it off
    Disable(One),
    /// Show whether it is on
    Show(One),
}

/// Show a group's settings
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group config show default")]
pub(crate) struct ShowConfig {
    /// Name of the group
    #[arg(value_name = "GROUP", add = completers::groups())]
    name: GroupName,
}

/// Change one of a group's settings
///
/// Isolation is a setting of groups on a server. With `database`, each new database of the group has a process of its own in
/// each of its locations. With `group`, it shares one with the others. Existing databases stay as they are.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  torso group config set default delete-protection on\n  torso group config set apart isolation database"
)]
pub(crate) struct SetConfig {
    /// Name of the group
    #[arg(value_name = "GROUP", add = completers::groups())]
    name: GroupName,
    /// Name of the setting
    #[arg(value_name = "KEY", value_parser = ["delete-protection", "isolation"])]
    key: String,
    /// on or off; for isolation, group or database
    #[arg(value_name = "VALUE")]
    value: String,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Show(args) => show_config(ctx, &args.name),
        Verb::Set(args) => set_config(ctx, args),
        Verb::DeleteProtection(Switch::Show(args)) => show_config(ctx, &args.name),
        Verb::DeleteProtection(Switch::Enable(args)) => protect(ctx, &args.name, true),
        Verb::DeleteProtection(Switch::Disable(args)) => protect(ctx, &args.name, false),
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct GroupConfigurationView(GroupConfiguration);

fn show_config(ctx: &Context, name: &GroupName) -> Result<()> {
    ctx.ui
        .show(&GroupConfigurationView(ctx.control()?.get_group_configuration(name)?))
}

impl View for GroupConfigurationView {
    fn layout(&self) -> Layout {
        let on = self.0.delete_protection;
        let cell = Cell::text(on.to_string()).with_display(if on { "on" } else { "off" });
        let card = Card::default().field("delete-protection", cell);
        Layout::Card(match self.0.isolation {
            Some(isolation) => card.field("isolation", Cell::text(isolation.name())),
            None => card,
        })
    }

    fn names(&self) -> Vec<String> {
        let isolation = self.0.isolation.map(|_| "isolation".to_owned());
        std::iter::once("delete-protection".to_owned())
            .chain(isolation)
            .collect()
    }
}

fn set_config(ctx: &Context, args: &SetConfig) -> Result<()> {
    enum Setting {
        DeleteProtection(bool),
        Isolation(Isolation),
    }
    let setting = match args.key.as_str() {
        "isolation" => Setting::Isolation(args.value.parse()?),
        _ => Setting::DeleteProtection(on_off(&args.value)?),
    };
    if args.dry.dry_run {
        match setting {
            Setting::DeleteProtection(_) => {
                ctx.control()?.get_group(&args.name)?;
            }
            // Where there is no such setting, this fails and changes nothing.
            Setting::Isolation(isolation) if ctx.server_if_any()?.is_none() => isolate(ctx, &args.name, isolation)?,
            Setting::Isolation(_) => {
                ctx.control()?.get_group_configuration(&args.name)?;
            }
        }
        return answers::plan(ctx, vec![format!("change {} of group {}", args.key, args.name)]);
    }
    match setting {
        Setting::DeleteProtection(on) => protect(ctx, &args.name, on),
        Setting::Isolation(isolation) => isolate(ctx, &args.name, isolation),
    }
}

fn isolate(ctx: &Context, name: &GroupName, isolation: Isolation) -> Result<()> {
    let wanted = GroupConfigurationPatch {
        isolation: Some(isolation),
        ..GroupConfigurationPatch::default()
    };
    let configuration = ctx.control()?.update_group_configuration(name, &wanted)?;
    let sentence = match isolation {
        Isolation::Group => format!("Databases made in group {name} from now on share a process."),
        Isolation::Database => format!("Each database made in group {name} from now on has a process of its own."),
    };
    ctx.ui.show(&Done::new(configuration, name, sentence))
}

fn protect(ctx: &Context, name: &GroupName, on: bool) -> Result<()> {
    let wanted = GroupConfigurationPatch {
        delete_protection: Some(on),
        ..GroupConfigurationPatch::default()
    };
    let configuration = ctx.control()?.update_group_configuration(name, &wanted)?;
    let sentence = format!(
        "Turned delete protection {} for group {name}.",
        if on { "on" } else { "off" }
    );
    ctx.ui.show(&Done::new(configuration, name, sentence))
}
