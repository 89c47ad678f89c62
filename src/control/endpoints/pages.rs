//! Lists that are read a page at a time, so that no end holds all of a long one.

use crate::error::Result;

/// Items on a page where a caller reads all pages, and at most on a page of a server.
pub const LIST_PAGE: usize = 1_000;

/// A part of a list: what comes behind an item of it, or from the first one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage<T> {
    pub items: Vec<T>,
    /// Whether there are others behind it.
    pub has_more: bool,
}

impl<T> ListPage<T> {
    /// The first `limit` of what was read: one more than that tells whether there are others.
    #[must_use]
    pub fn of_first(mut items: Vec<T>, limit: usize) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        Self { items, has_more }
    }

    /// The key of the last item, where others are behind it.
    pub fn next(&self, key: impl Fn(&T) -> String) -> Option<String> {
        self.items.last().filter(|_| self.has_more).map(key)
    }

    /// The same, where a server may have said that there are others.
    #[must_use]
    pub fn with_more(self, has_more: bool) -> Self {
        Self {
            has_more: self.has_more || has_more,
            ..self
        }
    }
}

/// Reads all pages of a list. `fetch` gets the key of the item that the page before ended with.
pub fn read_all_pages<T, K>(
    mut fetch: impl FnMut(Option<&K>) -> Result<ListPage<T>>,
    key: impl Fn(&T) -> Result<K>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map(&key).transpose()?;
        let page = fetch(after.as_ref())?;
        let is_last = !page.has_more || page.items.is_empty();
        all.extend(page.items);
        if is_last {
            return Ok(all);
        }
    }
}
