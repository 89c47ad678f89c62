//! `torso db list`.

use crate::commands::completers;
use crate::context::Context;
use crate::control::name_pattern;
use crate::control::names::{DatabaseName, GroupName, LocationCode};
use crate::control::types::{Database, DatabaseFilter};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use jiff::Timestamp;
use serde::Serialize;
use std::cmp::Reverse;
use std::ops::ControlFlow;

crate::commands::schemas::document!("db list" => Databases);

/// List databases
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db list --location ams --sort size --reverse
  torso db list 'shop-*' --output name
  torso db list --limit 50 --after shop-49")]
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
    /// List so many at most
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
    /// Only names that come after it: of the next page
    #[arg(long, value_name = "NAME")]
    after: Option<DatabaseName>,
}

/// Databases that are printed together.
const PAGE: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Default, clap::ValueEnum)]
enum Sort {
    #[default]
    Name,
    /// Smallest first
    Size,
    /// Oldest first
    Created,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let is_by_name = args.sort == Sort::Name && !args.reverse;
    if args.after.is_some() && !is_by_name {
        return Err(Error::new(
            Code::Usage,
            "--after needs the order of names: without --sort and --reverse",
        )
        .hint("torso db list --sort size --limit 10 lists the first ones of another order"));
    }
    let selection = Selection::new(args);
    if is_by_name {
        selection.print_by_name(ctx)
    } else {
        selection.print_sorted(ctx, args.sort, args.reverse)
    }
}

/// Which databases are listed.
struct Selection {
    filter: DatabaseFilter,
    pattern: Option<String>,
    /// Only those that have expired by then.
    expired_at: Option<Timestamp>,
    limit: Option<usize>,
    /// Whether some are left out.
    is_filtered: bool,
}

impl Selection {
    fn new(args: &Args) -> Self {
        let pattern = args.pattern.as_ref().map(|pattern| {
            if pattern.contains(['*', '?']) {
                pattern.clone()
            } else {
                format!("*{pattern}*")
            }
        });
        Self {
            filter: DatabaseFilter {
                group: args.group.clone(),
                location: args.location.clone(),
                after: args.after.clone(),
                ..DatabaseFilter::default()
            },
            is_filtered: pattern.is_some()
                || args.group.is_some()
                || args.location.is_some()
                || args.expired
                || args.after.is_some(),
            pattern,
            expired_at: args.expired.then(Timestamp::now),
            limit: args.limit,
        }
    }

    fn includes(&self, database: &Database) -> bool {
        self.pattern
            .as_ref()
            .is_none_or(|pattern| name_pattern::matches(pattern, database.name.as_str()))
            && self.expired_at.is_none_or(|now| database.is_expired(now))
    }

    fn view(&self, databases: Vec<Database>, is_part: bool) -> Databases {
        Databases {
            databases,
            is_filtered: self.is_filtered,
            is_part,
        }
    }

    /// Prints pages as they come. One is held back, for what is printed of the only page depends on what is in it.
    fn print_by_name(&self, ctx: &Context) -> Result<()> {
        let mut filter = self.filter.clone();
        // One more tells whether there are more.
        let most = self.limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
        if self.pattern.is_none() && self.expired_at.is_none() {
            filter.limit = self.limit.map(|_| most);
        }
        let mut list = ctx.ui.paged_list();
        let mut held: Vec<Database> = Vec::new();
        let mut printed = 0;
        let mut last = None;
        ctx.control()?.visit_databases(&filter, &mut |mut page| {
            page.retain(|database| self.includes(database));
            page.truncate(most - printed - held.len());
            if page.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            if !held.is_empty() && held.len() + page.len() > PAGE {
                printed += held.len();
                last = held.last().map(|database| database.name.clone());
                list.push(&self.view(std::mem::take(&mut held), true))?;
            }
            held.append(&mut page);
            Ok(if printed + held.len() == most {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        let more = printed + held.len() == most;
        if more {
            held.pop();
        }
        let last = held.last().map(|database| database.name.clone()).or(last);
        if !held.is_empty() {
            list.push(&self.view(held, printed > 0))?;
        }
        list.finish(&self.view(Vec::new(), false))?;
        if let (true, Some(last)) = (more, last) {
            ctx.ui.notice(format!("There are more: add --after {last}."));
        }
        Ok(())
    }

    /// Prints the databases in another order than that of their names. With a limit no more are held than that and a page.
    fn print_sorted(&self, ctx: &Context, by: Sort, reverse: bool) -> Result<()> {
        let mut databases: Vec<Database> = Vec::new();
        let sort = |databases: &mut Vec<Database>| match (by, reverse) {
            (Sort::Name, false) => {}
            (Sort::Name, true) => databases.sort_by(|a, b| b.name.cmp(&a.name)),
            (Sort::Size, false) => databases.sort_by_key(|database| database.size_bytes.unwrap_or(0)),
            // Equal ones stay in the order of their names.
            (Sort::Size, true) => databases.sort_by_key(|database| Reverse(database.size_bytes.unwrap_or(0))),
            (Sort::Created, false) => databases.sort_by_key(|database| database.created_at),
            (Sort::Created, true) => databases.sort_by(|a, b| (&b.created_at, &b.name).cmp(&(&a.created_at, &a.name))),
        };
        let limit = self.limit.unwrap_or(usize::MAX);
        ctx.control()?.visit_databases(&self.filter, &mut |mut page| {
            page.retain(|database| self.includes(database));
            databases.append(&mut page);
            if databases.len() > limit {
                sort(&mut databases);
                databases.truncate(limit);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        sort(&mut databases);
        ctx.ui.show(&self.view(databases, false))
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Databases {
    databases: Vec<Database>,
    #[serde(skip)]
    is_filtered: bool,
    /// There are other pages, which may have what this one has not.
    #[serde(skip)]
    is_part: bool,
}

impl View for Databases {
    fn layout(&self) -> Layout {
        let empty = if self.is_filtered {
            "No such databases."
        } else {
            "No databases yet. Create one: torso db create NAME"
        };
        let mut titles = vec!["NAME", "GROUP", "LOCATIONS", "SIZE", "CREATED"];
        // Shown when there is something to tell.
        let ends = self.is_part || self.databases.iter().any(|database| database.expires_at.is_some());
        if ends {
            titles.push("EXPIRES");
        }
        let states = self.is_part || self.databases.iter().any(|database| database.state.is_some());
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
