//! `torso location status`: how the instances at each location are.

use crate::commands::completers;
use crate::commands::watch::Watch;
use crate::context::Context;
use crate::control::location_status::LocationStatus;
use crate::control::names::GroupName;
use crate::error::Result;
use crate::ui::{Cell, Layout, Table, View};
use serde::Serialize;

crate::commands::schemas::document!("location status" => Statuses);

/// Show how the primaries and replicas at each location are
///
/// A line for each location with databases: how many instances are in which state, and the furthest that a replica is behind.
/// AT RISK is how many log frames no replica has, so that they would be lost with their primaries now.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso location status\n  torso location status --group default --watch")]
pub(in crate::commands) struct Status {
    /// Only databases of this group
    #[arg(long, short, value_name = "GROUP", add = completers::groups())]
    group: Option<GroupName>,
    #[command(flatten)]
    watch: Watch,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Statuses(Vec<LocationStatus>);

pub(super) fn status(ctx: &Context, args: &Status) -> Result<()> {
    args.watch.show(ctx, || {
        ctx.control()?.location_status(args.group.as_ref()).map(Statuses)
    })
}

impl View for Statuses {
    fn layout(&self) -> Layout {
        let has = |value: fn(&LocationStatus) -> bool| self.0.iter().any(value);
        let frames = has(|status| status.lag_frames.is_some() || status.at_risk_frames.is_some());
        let delays = has(|status| status.visible_after_ms.is_some());
        let clients = has(|status| status.connections.is_some());
        let restarts = has(|status| status.restarts.is_some());
        let errors = has(|status| status.last_error.is_some());
        let mut titles = vec!["LOCATION", "PRIMARIES", "REPLICAS", "STATE", "SIZE", "BEHIND"];
        if frames {
            titles.extend(["FRAMES BEHIND", "AT RISK"]);
        }
        titles.extend(delays.then_some("VISIBLE AFTER"));
        titles.extend(clients.then_some("CLIENTS"));
        titles.extend(restarts.then_some("RESTARTS"));
        titles.extend(errors.then_some("LAST ERROR"));
        let mut table = Table::new(titles, "No location has databases.");
        for status in &self.0 {
            let mut row = vec![
                Cell::text(status.location.as_str()),
                Cell::number(status.primaries),
                Cell::number(status.replicas),
                Cell::text(states(status)),
                Cell::size(status.size_bytes),
                Cell::maybe(status.lag_ms, |ms| match ms {
                    0 => Cell::span(0).with_display("no"),
                    ms => Cell::span(ms),
                }),
            ];
            if frames {
                row.push(Cell::maybe(status.lag_frames, Cell::number));
                row.push(Cell::maybe(status.at_risk_frames, Cell::number));
            }
            if delays {
                row.push(Cell::maybe(status.visible_after_ms, Cell::span));
            }
            if clients {
                row.push(Cell::maybe(status.connections, Cell::number));
            }
            if restarts {
                row.push(Cell::maybe(status.restarts, Cell::number));
            }
            if errors {
                row.push(Cell::text(status.last_error.clone().unwrap_or_default()));
            }
            table.row(row);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|status| status.location.to_string()).collect()
    }
}

/// `ready`, or how many are in which state.
fn states(status: &LocationStatus) -> String {
    if let (1, Some((only, _))) = (status.states.len(), status.states.first_key_value()) {
        return only.clone();
    }
    let each: Vec<String> = status
        .states
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    each.join(", ")
}
