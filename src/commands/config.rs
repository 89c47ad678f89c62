//! `torso config`: the user's settings, and what holds right now and why.

use super::DryRun;
use super::answers::{self, Done};
use super::completers;
use crate::context::Context;
use crate::control::names::LocationCode;
use crate::error::{Code, Error, Result};
use crate::settings::SettingOrigin;
use crate::settings::keys::SettingKey;
use crate::settings::server_url::parse_server_url;
use crate::ui::{Cell, Layout, OutputFormat, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("config get", "config path" => String);
crate::commands::schemas::document!("config set", "config unset" => Setting);
crate::commands::schemas::document!("config list" => SettingsView);
crate::commands::schemas::document!("config show" => AllEffective);

/// Show and change your settings
#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    Get(Get),
    Set(Set),
    Unset(Unset),
    #[command(visible_alias = "ls")]
    List(List),
    Show(Show),
    Path(Path),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Get(args) => get(ctx, &args),
        Verb::Set(args) => set(ctx, &args),
        Verb::Unset(args) => unset(ctx, &args),
        Verb::List(_) => list(ctx),
        Verb::Show(args) => show(ctx, &args),
        Verb::Path(_) => path(ctx),
    }
}

/// Print the effective value of a setting
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso config get default_location")]
pub(super) struct Get {
    /// The setting: context, default_group, default_location, output or color
    #[arg(value_name = "KEY", add = completers::settings())]
    key: SettingKey,
}

fn get(ctx: &Context, args: &Get) -> Result<()> {
    match ctx.settings.get(args.key)? {
        Some((value, _)) => ctx.ui.value(&value),
        None => Err(
            Error::new(Code::SettingNotFound, format!("{} is not set", args.key.name()))
                .hint(format!("torso config set {} VALUE", args.key.name())),
        ),
    }
}

/// Change a setting
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso config set default_location ams")]
pub(super) struct Set {
    /// The setting: context, default_group, default_location, output or color
    #[arg(value_name = "KEY", add = completers::settings())]
    key: SettingKey,
    /// New value
    #[arg(value_name = "VALUE", add = completers::values_of_settings())]
    value: String,
    #[command(flatten)]
    dry: DryRun,
}

/// A setting, as answered.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Setting {
    key: &'static str,
    value: Option<String>,
}

fn set(ctx: &Context, args: &Set) -> Result<()> {
    if args.key == SettingKey::Context {
        // A context that does not exist would make every other command fail.
        ctx.settings.context(&args.value.parse()?)?;
    }
    if args.key == SettingKey::DefaultLocation {
        check_location(ctx, &args.value.parse()?)?;
    }
    if args.dry.dry_run {
        args.key.check(&args.value)?;
        let step = format!(
            "set {} to {} in {}",
            args.key.name(),
            args.value,
            ctx.settings.path()?.display()
        );
        return answers::plan(ctx, vec![step]);
    }
    ctx.settings.set(args.key, Some(&args.value))?;
    let setting = Setting {
        key: args.key.name(),
        value: Some(args.value.clone()),
    };
    let sentence = format!("Set {} to {}.", args.key.name(), args.value);
    ctx.ui.show(&Done::new(setting, args.key.name(), sentence))
}

/// Refuses a location that there is not. Where the control plane cannot be asked, it may be one.
fn check_location(ctx: &Context, code: &LocationCode) -> Result<()> {
    let Ok(locations) = ctx.control().and_then(|plane| plane.list_locations()) else {
        return Ok(());
    };
    if locations.iter().any(|location| location.code == *code) {
        return Ok(());
    }
    Err(
        Error::new(Code::LocationNotFound, format!("there is no location {code}"))
            .hint("torso location list shows the codes; torso location add adds one"),
    )
}

/// Remove a setting; its default applies again
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso config unset default_location")]
pub(super) struct Unset {
    /// The setting: context, default_group, default_location, output or color
    #[arg(value_name = "KEY", add = completers::settings())]
    key: SettingKey,
    #[command(flatten)]
    dry: DryRun,
}

fn unset(ctx: &Context, args: &Unset) -> Result<()> {
    if args.dry.dry_run {
        let is_set = ctx.settings.user_value(args.key)?.is_some();
        let step = format!("remove {} from {}", args.key.name(), ctx.settings.path()?.display());
        return answers::plan(ctx, if is_set { vec![step] } else { Vec::new() });
    }
    ctx.settings.set(args.key, None)?;
    let setting = Setting {
        key: args.key.name(),
        value: None,
    };
    ctx.ui.show(&Done::new(
        setting,
        args.key.name(),
        format!("Removed {}.", args.key.name()),
    ))
}

/// List all settings, their meaning and their value in your settings file
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso config list")]
pub(super) struct List {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct SettingView {
    key: &'static str,
    value: Option<String>,
    meaning: &'static str,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct SettingsView(Vec<SettingView>);

fn list(ctx: &Context) -> Result<()> {
    let known = SettingKey::USER.into_iter().map(|key| {
        Ok(SettingView {
            key: key.name(),
            value: ctx.settings.user_value(key)?,
            meaning: key.meaning(),
        })
    });
    ctx.ui.show(&SettingsView(known.collect::<Result<_>>()?))
}

impl View for SettingsView {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["KEY", "VALUE", "MEANING"], "");
        for known in &self.0 {
            table.row(vec![
                Cell::text(known.key),
                Cell::maybe(known.value.as_ref(), Cell::text),
                Cell::text(known.meaning),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|known| known.key.to_owned()).collect()
    }
}

/// Show the effective settings, from flags, environment, project and settings file
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso config show --origin")]
pub(super) struct Show {
    /// Also show where each value comes from
    #[arg(long)]
    origin: bool,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Effective {
    key: &'static str,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// The flag, variable or file.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct AllEffective {
    #[serde(flatten)]
    members: serde_json::Map<String, serde_json::Value>,
    #[serde(skip)]
    list: Vec<Effective>,
    #[serde(skip)]
    origins: bool,
}

fn show(ctx: &Context, args: &Show) -> Result<()> {
    let settings = &ctx.settings;
    let (config_dir, config_origin) = settings.config_dir()?;
    let (data_dir, data_origin) = settings.data_dir()?;
    let mut found = vec![
        (
            "config_dir",
            Some((config_dir.to_string_lossy().into_owned(), config_origin)),
        ),
        ("data_dir", Some((data_dir.to_string_lossy().into_owned(), data_origin))),
    ];
    let server = settings.environment_server();
    // What may hold a password is not repeated.
    let origin = |(url, variable): (String, _)| {
        let url = parse_server_url(&url).map_or_else(|why| format!("invalid: {why}"), |url| url.to_string());
        (url, SettingOrigin::Environment(variable))
    };
    let context = settings.get(SettingKey::Context)?.filter(|_| server.is_none());
    found.push(("context", context));
    found.push(("server", server.map(origin).or(server_of_context(ctx)?)));
    for key in [
        SettingKey::Database,
        SettingKey::DefaultGroup,
        SettingKey::DefaultLocation,
    ] {
        found.push((key.name(), settings.get(key)?));
    }
    // A flag on this very command also decides how the answer looks, and that is what is told.
    found.push(("output", Some(ctx.output_origin(settings.get(SettingKey::Output)?))));
    found.push(("color", settings.get(SettingKey::Color)?));
    let list: Vec<Effective> = found
        .into_iter()
        .map(|(key, found)| {
            let (value, origin) = found.unzip();
            let origin = origin.filter(|_| args.origin);
            Effective {
                key,
                value,
                source: origin.as_ref().map(ToString::to_string),
                origin: origin.map(|origin| origin.name().to_owned()),
            }
        })
        .collect();
    let member = |effective: &Effective| {
        let value = if args.origin {
            serde_json::json!({"value": effective.value, "origin": effective.origin, "source": effective.source})
        } else {
            serde_json::json!(effective.value)
        };
        (effective.key.to_owned(), value)
    };
    ctx.ui.show(&AllEffective {
        members: list.iter().map(member).collect(),
        list,
        origins: args.origin,
    })
}

/// The address of the context's server; none for files on this machine, or where the context is unknown.
fn server_of_context(ctx: &Context) -> Result<Option<(String, SettingOrigin)>> {
    let Some((name, origin)) = ctx.settings.get(SettingKey::Context)? else {
        return Ok(None);
    };
    let all = ctx.settings.contexts()?;
    let context = all.into_iter().find(|context| context.name.as_str() == name);
    Ok(context.and_then(|context| context.url).map(|url| (url, origin)))
}

impl Context {
    /// The form of answers that holds for this command.
    fn output_origin(&self, otherwise: Option<(String, SettingOrigin)>) -> (String, SettingOrigin) {
        let name = match self.ui.format() {
            OutputFormat::Table => "table",
            OutputFormat::Json => "json",
            OutputFormat::Jsonl => "jsonl",
            OutputFormat::Csv => "csv",
            OutputFormat::Name => "name",
        };
        match otherwise {
            Some((value, origin)) if value == name => (value, origin),
            _ => (name.to_owned(), SettingOrigin::Flag("--output")),
        }
    }
}

impl View for AllEffective {
    fn layout(&self) -> Layout {
        let mut titles = vec!["KEY", "VALUE"];
        if self.origins {
            titles.push("ORIGIN");
        }
        let mut table = Table::new(titles, "");
        for effective in &self.list {
            let mut row = vec![
                Cell::text(effective.key),
                Cell::maybe(effective.value.as_ref(), Cell::text),
            ];
            if self.origins {
                row.push(Cell::maybe(effective.source.as_ref(), Cell::text));
            }
            table.row(row);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.list.iter().map(|effective| effective.key.to_owned()).collect()
    }
}

/// Print the path of the settings file
#[derive(clap::Args)]
#[command(after_help = "Example:\n  $EDITOR \"$(torso config path)\"")]
pub(super) struct Path {}

fn path(ctx: &Context) -> Result<()> {
    ctx.ui.value(&ctx.settings.path()?.to_string_lossy())
}
