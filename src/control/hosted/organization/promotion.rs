//! Promotion in an organization: what clients write is held back meanwhile, labels lead to the new primary before it goes on,
//! and the outage is written into the audit log.

use super::OrganizationPlane;
use crate::control::embedded::{Placed, WriteBarrier};
use crate::control::hosted::store::OrganizationRow;
use crate::control::hosted::{NewAuditEntry, Shared};
use crate::control::names::DatabaseId;
use crate::control::promotion::PromotionReport;
use crate::error::{Code, Result};
use serde_json::json;

/// The gateway, as what holds back the writes of an organization's clients.
pub(in crate::control::hosted) struct OrganizationBarrier<'a> {
    pub shared: &'a Shared,
    pub organization: &'a OrganizationRow,
}

impl WriteBarrier for OrganizationBarrier<'_> {
    fn close(&self, ids: &[DatabaseId]) {
        self.shared.write_gate.close(ids);
    }

    fn block(&self, ids: &[DatabaseId]) {
        self.shared.write_gate.block(ids);
    }

    fn open(&self, ids: &[DatabaseId], now: &[Placed]) {
        self.shared.publish_placed(self.organization, now);
        ids.iter().for_each(|id| self.shared.write_gate.open(id));
    }
}

impl OrganizationPlane<'_> {
    pub(super) fn barrier(&self) -> OrganizationBarrier<'_> {
        OrganizationBarrier {
            shared: self.shared,
            organization: &self.organization,
        }
    }

    /// Has what a promotion decided and could not complete be tried again, as if it had succeeded.
    pub(super) fn retry_partial<T>(&self, promoted: Result<T>) -> Result<T> {
        if promoted.as_ref().is_err_and(|error| error.code() == Code::Partial) {
            self.shared.await_former(&self.organization.id);
            self.shared.keep_trying();
        }
        promoted
    }

    /// Adds a promotion to an entry of the audit log, and has what it could not reach tried again.
    pub(super) fn note_promotion(&self, promotion: Option<&PromotionReport>, entry: &mut NewAuditEntry) {
        let Some(promotion) = promotion else { return };
        entry.data["from"] = json!(promotion.from);
        entry.data["outage_ms"] = json!(promotion.outage_ms);
        if let Some(loss) = &promotion.loss {
            self.shared.await_former(&self.organization.id);
            entry.data["to"] = json!(promotion.to);
            entry.data["loss"] = json!(loss);
            entry.message = format!("{}: {} is the primary now; {loss}", entry.message, promotion.to);
        }
        entry.message = format!("{}; writes waited for {} ms", entry.message, promotion.outage_ms);
        if !promotion.pending.is_empty() {
            self.shared.keep_trying();
        }
    }
}
