//! What was found for texts before: most requests bring a text that was seen a moment ago. Bounded in bytes; what was not
//! asked for in a while goes first.

use super::{TextSummary, Violation};
use crate::sync::lock;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, Mutex};

/// Parts with a lock of their own.
const SHARDS: usize = 16;

/// Bytes of the texts in a generation of a part; a part has two.
const GENERATION: usize = 128 << 10;

/// Bytes of the longest text that is kept. Longer ones are rarely the same twice.
const LONGEST: usize = 4 << 10;

/// What an entry takes besides its text.
const OVERHEAD: usize = 160;

type Analysis = Result<TextSummary, Violation>;

#[derive(Default)]
struct Shard {
    /// Texts that were asked for since the generation began.
    young: HashMap<Box<str>, Analysis>,
    /// Texts of the generation before. What is asked for again becomes young.
    old: HashMap<Box<str>, Analysis>,
    bytes: usize,
}

struct Cache {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

static CACHE: LazyLock<Cache> = LazyLock::new(|| Cache {
    hasher: RandomState::new(),
    shards: Default::default(),
});

fn shard(sql: &str) -> &'static Mutex<Shard> {
    let hash = CACHE.hasher.hash_one(sql);
    &CACHE.shards[hash as usize % SHARDS]
}

/// What was found for a text, if it is remembered.
pub(super) fn get(sql: &str) -> Option<Analysis> {
    if sql.len() > LONGEST {
        return None;
    }
    let mut shard = lock(shard(sql));
    if let Some(analysis) = shard.young.get(sql) {
        return Some(analysis.clone());
    }
    let (text, analysis) = shard.old.remove_entry(sql)?;
    shard.keep(text, analysis.clone());
    Some(analysis)
}

/// Keeps what was found for a text.
pub(super) fn put(sql: &str, analysis: &Analysis) {
    if sql.len() <= LONGEST {
        lock(shard(sql)).keep(sql.into(), analysis.clone());
    }
}

impl Shard {
    fn keep(&mut self, text: Box<str>, analysis: Analysis) {
        let bytes = text.len() + OVERHEAD;
        if self.bytes + bytes > GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if self.young.insert(text, analysis).is_none() {
            self.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_cache_is_bounded_and_keeps_what_is_used() {
        let mut shard = Shard::default();
        for n in 0..10_000 {
            shard.keep(format!("select {n}").into(), Ok(TextSummary::default()));
            assert!(shard.bytes <= GENERATION);
            assert!(shard.young.len() + shard.old.len() <= 2 * GENERATION / OVERHEAD);
        }
        assert!(shard.young.contains_key("select 9999"));
        assert!(!shard.young.contains_key("select 1") && !shard.old.contains_key("select 1"));
    }

    #[test]
    fn policy_cache_never_takes_one_text_for_another() {
        put("select 1 -- cached", &Ok(TextSummary::default()));
        assert!(get("select 1 -- cached").is_some());
        assert!(get("select 1 -- Cached").is_none());
        let long = "a".repeat(LONGEST + 1);
        put(&long, &Ok(TextSummary::default()));
        assert!(get(&long).is_none());
    }
}
