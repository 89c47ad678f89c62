//! Lists that can grow: their options, and how pages are printed as they come.

use crate::context::Context;
use crate::control::{LIST_PAGE, ListPage};
use crate::error::Result;
use crate::ui::View;

/// How much of a list is printed. What it begins behind is an option of each list, for it has a type of its own.
#[derive(clap::Args, Default)]
pub(super) struct Limit {
    /// List so many at most
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
}

/// Prints the items of a list that are wanted, a page at a time. `fetch` reads a page behind a key.
pub(super) fn print<T, K: ToString, V: View>(
    ctx: &Context,
    (limit, after): (&Limit, Option<K>),
    mut fetch: impl FnMut(Option<&K>, usize) -> Result<ListPage<T>>,
    is_wanted: impl Fn(&T) -> bool,
    key: impl Fn(&T) -> Result<K>,
    view: impl Fn(Vec<T>) -> V,
) -> Result<()> {
    let mut list = ctx.ui.paged_list();
    let (mut after, mut left) = (after, limit.limit.unwrap_or(usize::MAX));
    let mut last = None;
    let has_more = loop {
        let page = fetch(after.as_ref(), left.saturating_add(1).min(LIST_PAGE))?;
        let is_last = !page.has_more || page.items.is_empty();
        if let Some(item) = page.items.last() {
            after = Some(key(item)?);
        }
        let mut items = page.items;
        items.retain(&is_wanted);
        let is_cut = items.len() > left;
        items.truncate(left);
        left -= items.len();
        if let Some(item) = items.last() {
            last = Some(key(item)?);
            list.push(&view(items))?;
        }
        if is_cut || is_last || left == 0 {
            break is_cut || !is_last;
        }
    };
    list.finish(&view(Vec::new()))?;
    if let (true, Some(last)) = (has_more, last) {
        ctx.ui
            .notice(format!("There may be more: add --after {}.", last.to_string()));
    }
    Ok(())
}
