//! `torso db list`.

use crate::commands::completers;
use crate::context::Context;
use crate::control::name_pattern;
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Database, DatabaseFilter};
use crate::error::Result;
use crate::ui::{Cell, Layout, Table, View};
use jiff::Timestamp;
use serde::Serialize;
use std::cmp::Reverse;

/// List databases
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db list --location ams --sort size --reverse
  torso db list 'shop-*' --output name")]
pub(crate) struct Args {
    /// Only names that contain it; * is any text, ? any character
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// Only databases of this group
    #[arg(long, short, value_name = "NAME", add = completers::groups())]
    group: Option<GroupName>,
    /// Only databases with an instance at this location
    #[arg(long, short, value_name = "CODE", add = completers::locations())]
    location: Option<LocationCode>,
    /// Only databases that torso gc would destroy
    #[arg(long)]
    expired: bool,
    /// Order of the list
    #[arg(long, value_enum, default_value_t, value_name = "KEY")]
    sort: Sort,
    /// Reverse the order
    #[arg(long, short)]
    reverse: bool,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Sort {
    #[default]
    Name,
    /// Smallest first
    Size,
    /// Oldest first
    Created,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let filter = DatabaseFilter {
        group: args.group.clone(),
        location: args.location.clone(),
        parent: None,
    };
    let mut databases = ctx.control()?.list_databases(&filter)?;
    if let Some(pattern) = &args.pattern {
        let pattern = if pattern.contains(['*', '?']) {
            pattern.clone()
        } else {
            format!("*{pattern}*")
        };
        databases.retain(|database| name_pattern::matches(&pattern, database.name.as_str()));
    }
    if args.expired {
        let now = Timestamp::now();
        databases.retain(|database| database.is_expired(now));
    }
    match args.sort {
        Sort::Name => {}
        Sort::Size => databases.sort_by_key(|database| database.size_bytes.unwrap_or(0)),
        Sort::Created => databases.sort_by_key(|database| database.created_at),
    }
    if args.reverse {
        match args.sort {
            // Equal ones stay in the order of their names.
            Sort::Size => databases.sort_by_key(|database| Reverse(database.size_bytes.unwrap_or(0))),
            Sort::Name | Sort::Created => databases.reverse(),
        }
    }
    let filtered = args.pattern.is_some() || args.group.is_some() || args.location.is_some() || args.expired;
    ctx.ui.show(&Databases { databases, filtered })
}

#[derive(Serialize)]
#[serde(transparent)]
struct Databases {
    databases: Vec<Database>,
    #[serde(skip)]
    filtered: bool,
}

impl View for Databases {
    fn layout(&self) -> Layout {
        let empty = if self.filtered {
            "No such databases."
        } else {
            "No databases yet. Create one: torso db create NAME"
        };
        let mut titles = vec!["NAME", "GROUP", "LOCATIONS", "SIZE", "CREATED"];
        // Shown when there is something to tell.
        let ends = self.databases.iter().any(|database| database.expires_at.is_some());
        if ends {
            titles.push("EXPIRES");
        }
        let states = self.databases.iter().any(|database| database.state.is_some());
        if states {
            titles.push("STATE");
        }
        let mut table = Table::new(titles, empty);
        for database in &self.databases {
            let mut row = vec![
                Cell::text(database.name.as_str()),
                Cell::text(database.group.as_str()),
                Cell::list(&database.locations),
                Cell::maybe(database.size_bytes, Cell::size),
                Cell::maybe(database.created_at, Cell::time),
            ];
            if ends {
                row.push(Cell::maybe(database.expires_at, Cell::time));
            }
            if states {
                row.push(Cell::maybe(database.state, |state| Cell::text(state.name())));
            }
            table.row(row);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.databases
            .iter()
            .map(|database| database.name.to_string())
            .collect()
    }
}
