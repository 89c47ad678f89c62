//! What is known of comparisons of replicas with their primaries since the server's start, and who says so: metrics, the log and
//! `torso doctor`.

use super::{LOOK, Replicated};
use crate::control::findings::{Finding, Severity};
use crate::control::hosted::Shared;
use crate::control::names::LocationCode;
use crate::control::types::Group;
use crate::control::verification::Verification;
use crate::error::Error;
use crate::sync::lock;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known. It is in memory only.
#[derive(Debug, Clone, Default)]
pub struct VerificationStatus {
    /// How often they are compared in the background; none for never.
    pub every: Option<Duration>,
    /// How often a database could not be compared in the background.
    pub failures: u64,
    /// Databases that have replicas and were compared, or could not be, by their ids.
    pub databases: BTreeMap<String, DatabaseVerification>,
}

/// What is known of one database.
#[derive(Debug, Clone, Default)]
pub struct DatabaseVerification {
    /// When its instances were last compared, or had not changed since they were; none if that never succeeded.
    pub at: Option<Timestamp>,
    /// Where replicas differed from the primary then.
    pub differing: Vec<LocationCode>,
    /// Why it could not be compared when that was last tried; none if it was.
    pub failure: Option<String>,
}

impl Shared {
    /// Forgets databases that are gone, or have no replicas any more.
    pub(super) fn retain_verified(&self, replicated: &Replicated) {
        let mut status = lock(&self.verification.status);
        status.databases.retain(|id, _| replicated.contains_key(id));
    }

    /// Notes what a comparison has shown, whoever asked for it.
    pub(in crate::control::hosted) fn note_verified(&self, id: &str, verified: &Verification) {
        // Then nothing was compared with it.
        if verified.damaged_primary().is_some() {
            tracing::error!(database = %id, "the primary of a database is damaged");
            return;
        }
        for instance in verified.differing() {
            let location = &instance.location;
            let table = instance.difference.as_ref().map(|found| found.table.as_str());
            tracing::warn!(database = %id, %location, table, "a replica differs from its primary");
        }
        let mut status = lock(&self.verification.status);
        let known = status.databases.entry(id.to_owned()).or_default();
        known.at = Some(Timestamp::now());
        known.differing = verified.differing().map(|instance| instance.location.clone()).collect();
        known.failure = None;
        if known.differing.is_empty() {
            let (rows, instances) = (verified.rows, verified.instances.len());
            tracing::info!(database = %id, instances, rows, "the replicas of a database are equal");
        }
    }

    /// Notes that a database is as it was when it was last found to be equal.
    pub(super) fn note_unchanged(&self, id: &str) {
        if let Some(known) = lock(&self.verification.status).databases.get_mut(id) {
            known.at = Some(Timestamp::now());
            known.failure = None;
        }
    }

    /// The same cause is logged once.
    pub(super) fn note_not_verified(&self, id: &str, error: &Error) {
        let cause = error.full_message();
        let mut status = lock(&self.verification.status);
        status.failures += 1;
        let known = status.databases.entry(id.to_owned()).or_default();
        if known.failure.as_ref() != Some(&cause) {
            tracing::warn!(database = %id, %cause, "the replicas of a database could not be compared; trying again");
        }
        known.failure = Some(cause);
    }

    /// What `torso doctor` says about the replicas of some groups of an organization.
    pub(in crate::control::hosted) fn check_verification(&self, organization: &str, groups: &[Group]) -> Vec<Finding> {
        let status = lock(&self.verification.status).clone();
        let (mut findings, mut equal, mut oldest) = (Vec::new(), 0_usize, None::<Timestamp>);
        for routes in self.replicated().into_values() {
            let Some(route) = routes.first().filter(|route| {
                route.organization_id == organization && groups.iter().any(|group| group.name == route.group)
            }) else {
                continue;
            };
            let Some(known) = status.databases.get(route.id.as_str()) else {
                continue;
            };
            findings.extend(known.findings(route.database.as_str(), status.every));
            if let (Some(at), true) = (known.at, known.differing.is_empty()) {
                equal += 1;
                oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
            }
        }
        if let Some(oldest) = oldest {
            findings.push(Finding {
                code: "verified_replicas".to_owned(),
                severity: Severity::Ok,
                message: format!("databases whose replicas were found to be equal since {oldest}: {equal}"),
                fix: None,
            });
        }
        findings
    }
}

impl DatabaseVerification {
    fn findings(&self, name: &str, every: Option<Duration>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let (Some(at), false) = (self.at, self.differing.is_empty()) {
            let locations: Vec<&str> = self.differing.iter().map(LocationCode::as_str).collect();
            findings.push(Finding {
                code: "replica_differs".to_owned(),
                severity: Severity::Error,
                message: format!(
                    "database {name} differed from its primary at {} when they were compared at {at}",
                    locations.join(", ")
                ),
                fix: Some(format!("torso db verify {name} --repair")),
            });
        }
        // One that fails now and then is tried again soon.
        let is_old = |every: Duration| {
            let longest = (every * 2 + LOOK).as_secs_f64();
            self.at
                .is_none_or(|at| Timestamp::now().duration_since(at).as_secs_f64() > longest)
        };
        if let (Some(_), Some(every)) = (&self.failure, every)
            && is_old(every)
        {
            let since = self.at.map_or_else(String::new, |at| format!(" since {at}"));
            findings.push(Finding {
                code: "replicas_not_verified".to_owned(),
                severity: Severity::Warning,
                message: format!("the replicas of database {name} could not be compared with its primary{since}"),
                fix: Some(format!(
                    "torso db verify {name} says why; the server tries again by itself"
                )),
            });
        }
        findings
    }
}
