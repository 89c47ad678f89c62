//! What the gateway's policy lets through, held against the engine itself: texts from a grammar and recorded ones run in a
//! peer process that embeds the engine of libSQL server and tells which functions, tables and files they touch.
//!
//! `TORSO_STATEMENTS` says how many texts (30,000 without it), `TORSO_SEED` where to begin the random numbers; with
//! `--nocapture` the counts are printed:
//!
//! `TORSO_STATEMENTS=1000000 TORSO_SEED=7 cargo test --test integration policy::fuzz -- --nocapture`

mod compare;
mod corpora;
mod engine;
mod fuzz;
mod grammar;
mod mutate;
mod oracle;
mod server;
