//! `torso org audit-logs`: what was done in an organization, and by whom.

use crate::context::Context;
use crate::control::accounts::AuditPage;
use crate::error::Result;
use crate::ui::{Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("org audit-logs list" => Page);

/// Show the audit log of the current organization
#[derive(Subcommand)]
#[command(defer = true)]
pub(in crate::commands) enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
}

/// List the entries, newest first, page by page
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org audit-logs list --limit 50 --page 2")]
pub(in crate::commands) struct List {
    /// Page number
    #[arg(long, short, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    page: u64,
    /// Entries per page, 1 to 100
    #[arg(long, short, value_name = "NUMBER", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..=100))]
    limit: u64,
    /// Also show the details of each entry
    #[arg(long, short)]
    verbose: bool,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Page {
    #[serde(flatten)]
    page: AuditPage,
    #[serde(skip)]
    verbose: bool,
}

pub(super) fn run(ctx: &Context, verb: &Verb) -> Result<()> {
    let Verb::List(args) = verb;
    let page = ctx.accounts()?.audit_log(&ctx.organization()?, args.page, args.limit)?;
    let pagination = page.pagination;
    ctx.ui.show(&Page {
        page,
        verbose: args.verbose,
    })?;
    if pagination.total_pages > pagination.page {
        ctx.ui.notice(format!(
            "Page {} of {}; the next one: --page {}",
            pagination.page,
            pagination.total_pages,
            pagination.page + 1
        ));
    }
    Ok(())
}

impl View for Page {
    fn layout(&self) -> Layout {
        let mut titles = vec!["TIME", "AUTHOR", "CODE", "ORIGIN", "MESSAGE", "RESULT"];
        if self.verbose {
            titles.push("DATA");
        }
        let mut table = Table::new(titles, "The audit log is empty.");
        for entry in &self.page.audit_logs {
            let mut row = vec![
                Cell::time(entry.created_at),
                Cell::text(&entry.author),
                Cell::text(&entry.code),
                Cell::text(&entry.origin),
                Cell::text(&entry.message),
                Cell::text(entry.data["result"].as_str().unwrap_or_default()),
            ];
            if self.verbose {
                row.push(Cell::text(entry.data.to_string()));
            }
            table.row(row);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.page.audit_logs.iter().map(|entry| entry.code.clone()).collect()
    }
}
