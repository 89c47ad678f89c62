//! What `torso doctor` says about the machines of locations that an organization uses.

use crate::control::findings::{Finding, Severity};
use crate::control::hosted::Shared;
use crate::control::names::LocationCode;
use crate::control::node_status::{NodeState, NodeStatus};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// What those can do who cannot mend it themselves.
const ASK_OPERATOR: &str = "ask the operator of the server";

impl Shared {
    /// Finds out which of the `used` locations are on machines that are away. Only an operator can do something about that.
    pub(in crate::control::hosted) fn check_nodes(
        &self,
        used: &BTreeSet<LocationCode>,
        is_operator: bool,
    ) -> Vec<Finding> {
        let is_listening = self.nodes.listening.get().is_some();
        let statuses = self.node_statuses().into_iter();
        statuses
            .filter(|status| used.contains(&status.location))
            .map(|status| finding(&status, is_listening))
            .map(|found| Finding {
                fix: found
                    .fix
                    .map(|fix| if is_operator { fix } else { ASK_OPERATOR.to_owned() }),
                ..found
            })
            .collect()
    }
}

fn finding(status: &NodeStatus, is_listening: bool) -> Finding {
    let location = &status.location;
    let (severity, code, message, fix) = match status.state {
        _ if !is_listening => (
            Severity::Error,
            "node_away",
            format!("location {location} is on another machine, and this server does not listen for machines"),
            Some("start it with torso server --node-listen".to_owned()),
        ),
        NodeState::Waiting => (
            Severity::Warning,
            "node_missing",
            format!("no machine is location {location} yet, so its replicas are nowhere"),
            Some(format!(
                "torso location add {location} --node prints what a machine joins with"
            )),
        ),
        NodeState::Away => {
            let since = match status.last_contact_at {
                Some(at) => format!("was last heard of at {at:.0}"),
                None => "was not heard of since the server's start".to_owned(),
            };
            let message = format!(
                "the machine of location {location} {since}: its replicas do not follow{}",
                end_of_service(status)
            );
            let fix = "see whether torso node runs there, and what its log says".to_owned();
            (Severity::Error, "node_away", message, Some(fix))
        }
        NodeState::Connected => (
            Severity::Ok,
            "node",
            format!("the machine of location {location} is connected"),
            None,
        ),
    };
    Finding {
        code: code.to_owned(),
        severity,
        message,
        fix,
    }
}

/// Until when a machine that is away serves clients.
fn end_of_service(status: &NodeStatus) -> String {
    let end = status.keys_confirmed_at.zip(status.max_key_age_seconds);
    let end = end.and_then(|(at, age)| at.checked_add(SignedDuration::from_secs(i64::try_from(age).ok()?)).ok());
    match end {
        Some(end) if end <= Timestamp::now() => ", and it refuses clients, because its keys are too old".to_owned(),
        Some(end) => format!(", and it refuses clients from {end:.0} on, when its keys are too old"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_that_is_away_is_an_error_with_its_last_contact() {
        let mut status = NodeStatus {
            location: "lhr".parse().unwrap(),
            state: NodeState::Away,
            advertise: None,
            joined_at: None,
            last_contact_at: Some("2026-01-02T03:04:05.678Z".parse().unwrap()),
            version: None,
            engine_version: None,
            free_bytes: None,
            instances: None,
            up_to_date: None,
            url: None,
            keys_confirmed_at: None,
            max_key_age_seconds: None,
        };
        let away = finding(&status, true);
        assert_eq!((away.severity, away.code.as_str()), (Severity::Error, "node_away"));
        assert_eq!(
            away.message,
            "the machine of location lhr was last heard of at 2026-01-02T03:04:05Z: its replicas do not follow"
        );
        (status.keys_confirmed_at, status.max_key_age_seconds) = (status.last_contact_at, Some(60));
        let refusing = finding(&status, true).message;
        assert!(
            refusing.ends_with("it refuses clients, because its keys are too old"),
            "{refusing}"
        );
        status.state = NodeState::Connected;
        assert_eq!(finding(&status, true).severity, Severity::Ok);
        assert_eq!(finding(&status, false).severity, Severity::Error);
        status.state = NodeState::Waiting;
        assert_eq!(finding(&status, true).code, "node_missing");
    }
}
