//! Names for the shell's Tab key: read-only, quick, and silent about every failure.

use crate::context::Context;
use crate::control::names::{ContextName, GroupName, LocationCode, OrganizationSlug};
use crate::control::types::DatabaseFilter;
use crate::settings::{Overrides, Settings};
use crate::ui::{Ui, UiOptions};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

/// Most names offered: beyond it a list is no help.
const MOST: usize = 1_000;

/// The settings that the command line under construction will have. Its own flags are not known here, so the environment
/// decides.
fn surroundings() -> Context {
    Context::hurried(Ui::new(UiOptions::default()), Settings::new(Overrides::default()))
}

fn candidates<T: ToString>(names: impl IntoIterator<Item = (T, String)>) -> Vec<CompletionCandidate> {
    names
        .into_iter()
        .take(MOST)
        .map(|(name, help)| {
            let help = crate::ui::text::visible(&help).into_owned();
            CompletionCandidate::new(name.to_string()).help((!help.is_empty()).then(|| help.into()))
        })
        .collect()
}

pub(super) fn databases() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let ctx = surroundings();
        let found = ctx
            .control()
            .and_then(|plane| plane.list_databases(&DatabaseFilter::default()));
        candidates(
            found
                .into_iter()
                .flatten()
                .map(|database| (database.name, format!("at {}", database.primary))),
        )
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
