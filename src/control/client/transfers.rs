//! Transfers to another organization.

use super::call::ApiCall;
use super::{Client, about_database, about_group, wire};
use crate::control::names::{DatabaseName, GroupName, OrganizationSlug};
use crate::control::types::Group;
use crate::control::{TransferOperations, routes};
use crate::error::Result;
use serde_json::json;

impl TransferOperations for Client {
    fn transfer_database(&self, name: &DatabaseName, to: &OrganizationSlug) -> Result<()> {
        let call = ApiCall::post(self.scoped(&routes::database_transfer(name)), about_database(name))
            .body(json!({ "org": to, "organization": to }));
        self.http.ask(&call).map(drop)
    }

    fn transfer_group(&self, name: &GroupName, to: &OrganizationSlug) -> Result<Group> {
        let call = ApiCall::post(self.scoped(&routes::group_transfer(name)), about_group(name))
            .body(json!({ "organization": to }));
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }
}
