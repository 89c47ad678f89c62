//! The plane itself: files on their way to it, and its health.

use super::OrganizationPlane;
use crate::control::findings::Finding;
use crate::control::hosted::NewAuditEntry;
use crate::control::hosted::permission::{Action, PermissionTarget};
use crate::control::names::LocationCode;
use crate::control::types::DatabaseFilter;
use crate::control::{BackupOperations, DatabaseOperations as _, GroupOperations as _, MaintenanceOperations, Staging};
use crate::error::Result;
use serde_json::json;
use std::collections::BTreeSet;

impl BackupOperations for OrganizationPlane<'_> {}

impl MaintenanceOperations for OrganizationPlane<'_> {
    fn staging(&self) -> Result<Staging> {
        self.allow(Action::CreateDatabase, PermissionTarget::Visible, None)?;
        self.plane()?.staging().map_err(|error| self.discreet(error))
    }

    fn check(&self, fix: bool) -> Result<Vec<Finding>> {
        let entry = NewAuditEntry::new("check", "checked the organization", json!({ "fix": fix }));
        self.change(Action::Maintain, PermissionTarget::Organization, entry, |plane| {
            let dir = self.shared.dir.to_string_lossy();
            let mut found = plane.check(fix)?;
            found.extend(self.shared.check_processes(&self.organization.id));
            let mut groups = plane.list_groups()?;
            groups.retain(|group| self.rights.group.as_ref().is_none_or(|own| group.name == *own));
            found.extend(self.shared.check_backups(&self.organization.id, &groups));
            found.extend(self.shared.check_verification(&self.organization.id, &groups));
            let mut used: BTreeSet<LocationCode> = groups
                .iter()
                .flat_map(|group| group.locations.iter().cloned())
                .collect();
            let mut databases = plane.list_databases(&DatabaseFilter::default())?;
            databases.retain(|database| groups.iter().any(|group| group.name == database.group));
            used.extend(databases.into_iter().flat_map(|database| database.locations));
            let is_operator = self.shared.is_first_user(&self.caller.session.user_id)?;
            found.extend(self.shared.check_nodes(&used, is_operator));
            for finding in &mut found {
                finding.message = finding.message.replace(&*dir, "…");
                finding.fix = finding.fix.take().map(|fix| fix.replace(&*dir, "…"));
            }
            Ok(found)
        })
    }
}
