//! What is said of a promotion: by whom it was done, and what it has cost.

use super::names::LocationCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A promotion that was done, on a plane whose databases are served by processes.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionReport {
    /// The former primary's location; of a group, that of its databases.
    pub from: LocationCode,
    pub to: LocationCode,
    /// How long writes waited, in milliseconds.
    pub outage_ms: u64,
    /// Locations whose replicas are still to be made again, because they could not be reached. It is tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<LocationCode>,
    /// Set if it was done without the former primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<PromotionLoss>,
}

/// A promotion without the primary, as it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcedPromotion {
    /// None for that of the replica that has the most.
    #[serde(default)]
    pub location: Option<LocationCode>,
    /// Only says what would be done and lost.
    #[serde(default)]
    pub dry_run: bool,
    /// Who asks says that the machine of the primary does not run, and will not as it was: no other can know that.
    #[serde(default)]
    pub old_machine_is_off: bool,
}

/// What a promotion without the primary loses, as far as that is known.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionLoss {
    /// Frames (changed pages) of the former primary's log that the new primary lacks; none if that is not known.
    pub frames: Option<u64>,
    /// Whether that was read from the former primary's files. Else it is what was last seen while it ran.
    pub is_exact: bool,
    /// When the former primary's log was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub seen_at: Option<Timestamp>,
}

impl fmt::Display for PromotionLoss {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames = |frames: u64| match frames {
            1 => "1 frame".to_owned(),
            frames => format!("{frames} frames"),
        };
        match (self.frames, self.is_exact, self.seen_at) {
            (Some(0), true, _) => to.write_str("the replica has all that the former primary's log on disk has"),
            (Some(lacking), true, _) => write!(
                to,
                "the former primary's log on disk has {} that the replica lacks; its files are kept",
                frames(lacking)
            ),
            (Some(lacking), false, Some(seen)) => write!(
                to,
                "the last known lag of the replica was {}, at {seen}; what was written after that is not known",
                frames(lacking)
            ),
            _ => to.write_str("how much is lost is not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_loss_is_never_nothing_where_it_is_not_known() {
        let loss = |frames, is_exact, seen: Option<i64>| PromotionLoss {
            frames,
            is_exact,
            seen_at: seen.map(|second| Timestamp::from_second(second).unwrap()),
        };
        for (loss, text) in [
            (loss(None, false, None), "how much is lost is not known"),
            (loss(Some(0), false, None), "how much is lost is not known"),
            (
                loss(Some(0), false, Some(0)),
                "the last known lag of the replica was 0 frames, at 1970-01-01T00:00:00Z; what was written after that is not known",
            ),
            (
                loss(Some(0), true, None),
                "the replica has all that the former primary's log on disk has",
            ),
            (
                loss(Some(1), true, None),
                "the former primary's log on disk has 1 frame that the replica lacks; its files are kept",
            ),
        ] {
            assert_eq!(loss.to_string(), text);
        }
    }
}
