//! The plane itself: files on their way to it, and its health.

use super::OrganizationPlane;
use crate::control::findings::Finding;
use crate::control::hosted::NewAuditEntry;
use crate::control::hosted::permission::{Action, PermissionTarget};
use crate::control::{BackupOperations, GroupOperations as _, MaintenanceOperations, Staging};
use crate::error::Result;
use serde_json::json;

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
            let used = groups
                .iter()
                .flat_map(|group| group.locations.iter().cloned())
                .collect();
            found.extend(self.shared.check_nodes(&used));
            for finding in &mut found {
                finding.message = finding.message.replace(&*dir, "…");
                finding.fix = finding.fix.take().map(|fix| fix.replace(&*dir, "…"));
            }
            Ok(found)
        })
    }
}
