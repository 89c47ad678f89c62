//! Two-word names for databases whose maker has no name for them.

use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::DatabaseName;
use crate::control::types::DatabaseFilter;
use crate::error::{Code, Error, Result};

const FIRST: [&str; 64] = [
    "amber", "ample", "blithe", "bold", "brave", "brisk", "bright", "calm", "candid", "clear", "clever", "cosy",
    "crisp", "dapper", "deft", "eager", "early", "easy", "fair", "fleet", "fond", "frank", "fresh", "gentle", "glad",
    "golden", "grand", "hale", "handy", "happy", "hardy", "honest", "jolly", "keen", "kind", "lively", "loyal",
    "lucid", "lucky", "mellow", "merry", "mild", "neat", "nimble", "noble", "patient", "plucky", "polite", "proud",
    "quick", "quiet", "ready", "rosy", "silver", "smart", "snug", "sound", "spry", "steady", "sunny", "swift", "tidy",
    "warm", "witty",
];

const SECOND: [&str; 64] = [
    "acorn", "alder", "aspen", "badger", "beaver", "birch", "bison", "brook", "cedar", "clover", "condor", "coral",
    "crane", "curlew", "dune", "eagle", "elm", "ember", "falcon", "fern", "finch", "fjord", "fox", "gannet", "glade",
    "harbour", "hare", "hazel", "heron", "ibis", "iris", "ivy", "jay", "kestrel", "lark", "linden", "lynx", "maple",
    "marten", "meadow", "moss", "newt", "oak", "orchid", "osprey", "otter", "owl", "pebble", "pine", "plover", "poppy",
    "puffin", "quail", "raven", "reed", "river", "robin", "rowan", "seal", "spruce", "swan", "thrush", "willow",
    "wren",
];

/// From so many databases on, names have numbers at once: that two are alike is less likely than finding out is dear.
const MANY: usize = 1_000;

/// A name that no database has now. After a while a number is added, so that a full house does not stop anybody; so it is
/// at once where the token in use may not see which names are taken.
pub(super) fn fresh(ctx: &Context) -> Result<DatabaseName> {
    let filter = DatabaseFilter {
        limit: Some(MANY),
        ..DatabaseFilter::default()
    };
    let seen = if_allowed(ctx.control()?.list_databases(&filter))?;
    let is_few = seen.as_ref().is_some_and(|seen| seen.len() < MANY);
    let numbered_from = if is_few { 10 } else { 0 };
    let taken: std::collections::HashSet<_> = seen.into_iter().flatten().map(|database| database.name).collect();
    for attempt in 0..100 {
        let mut name = format!("{}-{}", pick(&FIRST), pick(&SECOND));
        if attempt >= numbered_from {
            name = format!("{name}-{}", fastrand::u32(2..1_000_000));
        }
        let name = name.parse()?;
        if !taken.contains(&name) {
            return Ok(name);
        }
    }
    Err(Error::new(Code::DatabaseExists, "no free name was found").hint("name the database yourself"))
}

fn pick(words: &[&'static str; 64]) -> &'static str {
    words[fastrand::usize(..words.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_name_of_any_two_words_is_valid_and_words_are_unique() {
        for words in [FIRST, SECOND] {
            let mut sorted = words.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), words.len());
        }
        for first in FIRST {
            for second in SECOND {
                format!("{first}-{second}").parse::<DatabaseName>().unwrap();
            }
        }
    }
}
