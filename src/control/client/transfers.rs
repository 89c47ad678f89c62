//! Transfers to another organization.

use super::{Client, about_database, about_group, wire};
use crate::control::TransferOperations;
use crate::control::endpoints::Operation;
use crate::control::names::{DatabaseName, GroupName, OrganizationSlug};
use crate::control::types::Group;
use crate::error::Result;
use serde_json::json;

impl TransferOperations for Client {
    fn transfer_database(&self, name: &DatabaseName, to: &OrganizationSlug) -> Result<()> {
        let call = self
            .call(Operation::TransferDatabase, &[name], about_database(name))
            .body(json!({ "org": to, "organization": to }));
        self.http.ask(&call).map(drop)
    }

    fn transfer_group(&self, name: &GroupName, to: &OrganizationSlug) -> Result<Group> {
        let call = self
            .call(Operation::TransferGroup, &[name], about_group(name))
            .body(json!({ "organization": to }));
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }
}
