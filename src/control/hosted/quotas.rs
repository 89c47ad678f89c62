//! What an organization may use, as the administrator set it, and what it uses.

use super::Shared;
use super::store::OrganizationRow;
use crate::control::accounts::Quotas;
use crate::error::{Code, Error, Result};

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
        // By name, so what is for one organization comes after what is for all.
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
                    return Err(super::tenant::organization_not_found(slug));
                }
                format!("{QUOTA}{name}@{slug}")
            }
        };
        records.write(|| records.set(&name, &value.to_string()))
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
