//! Quotas of organizations, set by the administrator. Most are enforced when something is made. Storage grows by
//! itself, so it is checked repeatedly, and writes are blocked while it exceeds the quota.

use super::Shared;
use super::store::OrganizationRow;
use crate::control::accounts::{QuotaSetting, Quotas};
use crate::error::{Code, Error, Result};
use std::collections::HashSet;
use std::sync::atomic::Ordering;

/// The settings that are quotas: `quota.<name>` for all, `quota.<name>@<organization>` for one.
const QUOTA: &str = "quota.";

impl Shared {
    /// The quotas of the plan that all organizations have.
    pub(super) fn plan_quotas(&self) -> Result<Quotas> {
        self.settings_as_quotas(None)
    }

    pub(super) fn quotas(&self, organization: &OrganizationRow) -> Result<Quotas> {
        self.settings_as_quotas(Some(organization.slug.as_str()))
    }

    fn settings_as_quotas(&self, slug: Option<&str>) -> Result<Quotas> {
        let mut quotas = Quotas::default();
        // Ordered by name, so that those of one organization override those of all.
        for (name, value) in self.records().settings(QUOTA)? {
            let name = &name[QUOTA.len()..];
            let (name, of) = name.split_once('@').map_or((name, None), |(name, of)| (name, Some(of)));
            if of.is_some() && of != slug {
                continue;
            }
            if let (Some(place), Ok(value)) = (place(&mut quotas, name), value.parse()) {
                *place = value;
            }
        }
        Ok(quotas)
    }

    /// The quotas that were set, those of all organizations first.
    pub(super) fn quota_settings(&self) -> Result<Vec<QuotaSetting>> {
        let mut settings = Vec::new();
        for (name, value) in self.records().settings(QUOTA)? {
            let name = &name[QUOTA.len()..];
            let (name, of) = name.split_once('@').map_or((name, None), |(name, of)| (name, Some(of)));
            settings.push(QuotaSetting {
                organization: of.map(str::parse).transpose()?,
                name: name.to_owned(),
                value: value.parse().unwrap_or(0),
            });
        }
        settings.sort_by(|a, b| (&a.organization, &a.name).cmp(&(&b.organization, &b.name)));
        Ok(settings)
    }

    /// Has storage be held against changed quotas now. What fails is done in the next round.
    pub(super) fn enforce_storage_quotas(&self) {
        let _ = self.hold_storage(true);
    }

    /// Sets a quota for all organizations, or for one. 0 is unlimited.
    pub(super) fn set_quota(&self, name: &str, organization: Option<&str>, value: u64) -> Result<()> {
        if place(&mut Quotas::default(), name).is_none() {
            return Err(Error::new(Code::SettingNotFound, format!("there is no quota {name:?}"))
                .hint("quotas are databases, groups, locations, storage, rows_read, rows_written and bytes_synced"));
        }
        let records = self.records();
        let name = match organization {
            None => format!("{QUOTA}{name}"),
            Some(slug) => {
                if records.organization(slug)?.is_none() {
                    return Err(super::organization::organization_not_found(slug));
                }
                format!("{QUOTA}{name}@{slug}")
            }
        };
        records.write(|| records.set(&name, &value.to_string()))?;
        self.quotas_changed.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Whether an organization stores more than it may.
    pub(super) fn is_over_quota(&self, organization_id: &str) -> bool {
        let state = self.plane_pool.state(organization_id);
        state.over_quota.load(Ordering::SeqCst)
    }

    /// Blocks writes of organizations that store too much, and allows them again for those that do not any more. Checks
    /// `all` organizations, or only those that were active or are blocked.
    pub(super) fn hold_storage(&self, all: bool) -> Result<()> {
        let all = self.quotas_changed.swap(false, Ordering::SeqCst) || all;
        let used: HashSet<String> = self.traffic.organizations();
        let organizations = self.records().organizations()?;
        for organization in organizations {
            let state = self.plane_pool.state(&organization.id);
            let was_over = state.over_quota.load(Ordering::SeqCst);
            let unsettled = state.unsettled.load(Ordering::SeqCst);
            if !(all || was_over || unsettled || used.contains(&organization.id)) {
                continue;
            }
            let most = self.quotas(&organization)?.storage;
            let is_over = match most {
                0 => false,
                most => super::organization::bytes_stored(&*self.plane_of(&organization)?)? > most,
            };
            if is_over != was_over {
                state.over_quota.store(is_over, Ordering::SeqCst);
                self.nodes.access.changes.mark_changed();
                state.unsettled.store(true, Ordering::SeqCst);
                tracing::info!(organization = %organization.slug, blocked = is_over, "storage quota");
            }
            if is_over != was_over || unsettled {
                // If a process is not running, this is repeated in the next round; starting it also applies the limits.
                let settled = self.plane_of(&organization)?.enforce().is_ok_and(|failed| failed == 0);
                state.unsettled.store(!settled, Ordering::SeqCst);
            }
        }
        Ok(())
    }
}

fn place<'q>(quotas: &'q mut Quotas, name: &str) -> Option<&'q mut u64> {
    Some(match name {
        "databases" => &mut quotas.databases,
        "groups" => &mut quotas.groups,
        "locations" => &mut quotas.locations,
        "storage" => &mut quotas.storage,
        "rows_read" => &mut quotas.rows_read,
        "rows_written" => &mut quotas.rows_written,
        "bytes_synced" => &mut quotas.bytes_synced,
        _ => return None,
    })
}
