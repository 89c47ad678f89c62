//! Names for the shell's Tab key: read-only, quick, and silent about every failure.

use super::db::git_branch::list_branches;
use crate::context::Context;
use crate::control::names::{ContextName, DatabaseName, GroupName, LocationCode, MAX_NAME, OrganizationSlug};
use crate::control::types::DatabaseFilter;
use crate::settings::{Overrides, Settings};
use crate::ui::{Color, OutputFormat, Ui, UiOptions};
use clap::ValueEnum as _;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use std::ffi::OsStr;

/// Most names offered: beyond it a list is no help.
const MOST: usize = 1_000;

/// The settings that the command line under construction will have.
fn surroundings() -> Context {
    let words = std::env::args_os().filter_map(|word| word.into_string().ok());
    Context::hurried(Ui::new(UiOptions::default()), Settings::new(overrides(words)))
}

/// What the options of a command line under construction say of its settings.
fn overrides(words: impl Iterator<Item = String>) -> Overrides {
    let mut overrides = Overrides::default();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word.as_str(), words.peek().cloned()),
        };
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        match option {
            "--context" => overrides.context = Some(value),
            "--org" => overrides.organization = Some(value),
            "--data-dir" => overrides.data_dir = Some(value.into()),
            "--config-dir" | "--config-path" | "-c" => overrides.config_dir = Some(value.into()),
            _ => {}
        }
    }
    overrides
}

pub(super) fn candidates<T: ToString>(names: impl IntoIterator<Item = (T, String)>) -> Vec<CompletionCandidate> {
    names
        .into_iter()
        .take(MOST)
        .map(|(name, help)| {
            let help = crate::ui::text::visible(&help).into_owned();
            CompletionCandidate::new(name.to_string()).help((!help.is_empty()).then(|| help.into()))
        })
        .collect()
}

/// Names of databases. Of many only those are listed that begin as what is typed does.
pub(super) fn databases() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let Some(typed) = typed.to_str() else { return Vec::new() };
        let (mut ctx, mut prefix, mut typed) = (surroundings(), "", typed);
        // CONTEXT:NAME, as db copy and db diff take it.
        if let Some((context, rest)) = typed.split_once(':')
            && let Ok(context) = context.parse()
        {
            ctx = Context::hurried(ctx.ui, ctx.settings.in_context(&context));
            (prefix, typed) = typed.split_at(typed.len() - rest.len());
        }
        let filter = DatabaseFilter {
            after: name_before(typed),
            limit: Some(MOST),
            ..DatabaseFilter::default()
        };
        let found = ctx.control().and_then(|plane| plane.list_databases(&filter));
        candidates(
            found
                .into_iter()
                .flatten()
                .filter(|database| database.name.as_str().starts_with(typed))
                .map(|database| (format!("{prefix}{}", database.name), format!("at {}", database.primary))),
        )
    })
}

/// The last name that a list could have before those that begin in some way; none if these are its first. Lists are in the order
/// of bytes, in which `-` is before digits, and digits before letters.
fn name_before(beginning: &str) -> Option<DatabaseName> {
    let last = beginning.chars().next_back()?;
    let rest = beginning.strip_suffix(last)?;
    let before = match last {
        // Behind `app`, `app-` comes first.
        '-' => return rest.parse().ok(),
        '0' => '-',
        'a' => '9',
        '1'..='9' | 'b'..='z' => char::from_u32(u32::from(last) - 1)?,
        _ => return None,
    };
    let longest = "z".repeat(MAX_NAME.saturating_sub(beginning.len()));
    format!("{rest}{before}{longest}").parse().ok()
}

/// Branches of the git repository around the current directory.
pub(super) fn git_branches() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let directory = std::env::current_dir().ok();
        let branches = directory.map(|directory| list_branches(&directory));
        candidates(branches.into_iter().flatten().map(|branch| (branch, String::new())))
    })
}

pub(super) fn groups() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let ctx = surroundings();
        let found = ctx.control().and_then(|plane| plane.list_groups());
        candidates(
            found
                .into_iter()
                .flatten()
                .map(|group| -> (GroupName, String) { (group.name, format!("at {}", group.primary)) }),
        )
    })
}

pub(super) fn locations() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let ctx = surroundings();
        let found = ctx.control().and_then(|plane| plane.list_locations());
        candidates(
            found
                .into_iter()
                .flatten()
                .map(|location| -> (LocationCode, String) { (location.code, location.description) }),
        )
    })
}

pub(super) fn contexts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let found = surroundings().settings.contexts();
        candidates(
            found
                .into_iter()
                .flatten()
                .map(|context| -> (ContextName, String) { (context.name, context.url.unwrap_or_default()) }),
        )
    })
}

pub(super) fn organizations() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let ctx = surroundings();
        let found = ctx.accounts().and_then(|accounts| accounts.list_organizations());
        candidates(
            found
                .into_iter()
                .flatten()
                .map(|organization| -> (OrganizationSlug, String) { (organization.slug, organization.name) }),
        )
    })
}

pub(super) fn settings() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        candidates(
            crate::settings::keys::SettingKey::USER
                .into_iter()
                .map(|key| (key.name(), key.meaning().to_owned())),
        )
    })
}

/// Values of settings. Which setting it is for is not known here.
pub(super) fn values_of_settings() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let values = [(
            "color",
            Color::value_variants()
                .iter()
                .filter_map(value_name)
                .collect::<Vec<_>>(),
        )]
        .into_iter()
        .chain([(
            "output",
            OutputFormat::value_variants().iter().filter_map(value_name).collect(),
        )]);
        candidates(values.flat_map(|(key, values)| values.into_iter().map(move |value| (value, key.to_owned()))))
    })
}

fn value_name<T: clap::ValueEnum>(value: &T) -> Option<String> {
    Some(value.to_possible_value()?.get_name().to_owned())
}

/// Conditions of `torso wait db`.
pub(super) fn conditions() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let replicas = surroundings().control().and_then(|plane| plane.list_locations());
        let replicas = replicas.into_iter().flatten();
        let replicas = replicas.map(|location| (format!("replica={}", location.code), location.description));
        let others = [
            ("ready".to_owned(), "its primary serves".to_owned()),
            ("gone".to_owned(), String::new()),
        ];
        candidates(others.into_iter().chain(replicas))
    })
}

/// Values of a database's settings.
pub(super) fn values_of_database_settings() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        candidates([
            ("on", "delete-protection, block-reads, block-writes".to_owned()),
            ("off", "delete-protection, block-reads, block-writes".to_owned()),
            ("never", "expires-in".to_owned()),
            ("0", "size-limit: none".to_owned()),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_follows_the_options_of_the_line() {
        let line = |text: &str| overrides(text.split(' ').map(str::to_owned));
        let found = line("torso -- torso db show --context srv --org=team --data-dir d -c e ");
        assert_eq!(found.context.as_deref(), Some("srv"));
        assert_eq!(found.organization.as_deref(), Some("team"));
        assert_eq!(found.data_dir.as_deref(), Some("d".as_ref()));
        assert_eq!(found.config_dir.as_deref(), Some("e".as_ref()));
        assert!(line("torso -- torso db show --context ").context.is_none());
    }

    #[test]
    fn completion_begins_its_list_where_the_names_begin_that_are_typed() {
        let mut names = Vec::new();
        let letters = ["-", "0", "1", "9", "a", "b", "z"];
        for first in &letters[1..] {
            for second in letters {
                names.push(format!("{first}{second}a"));
                names.push(format!("{first}{second}"));
            }
            names.push((*first).to_owned());
        }
        let mut names: Vec<DatabaseName> = names.iter().filter_map(|name| name.parse().ok()).collect();
        names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        for typed in ["", "a", "a-", "a0", "aa", "ab", "z", "0", "0-", "1a", "zz", "b1"] {
            let wanted = names.iter().find(|name| name.as_str().starts_with(typed));
            let before = name_before(typed);
            let first = names
                .iter()
                .find(|name| before.as_ref().is_none_or(|before| name.as_str() > before.as_str()));
            assert_eq!(first, wanted, "{typed}");
        }
        // What begins no name is behind no name.
        assert_eq!(name_before("./file"), None);
    }
}
