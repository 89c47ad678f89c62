//! The documentation is true: what a page shows is run, what it names exists, what it links to is there.
//!
//! `pages` reads the pages. Every fenced block is run by `blocks`, or says in a comment before it why it is not. `languages` brings
//! what their programs need, `rust` what those in Rust do. `lost_primary` runs the page for the night in which a primary is lost.
//! `commands` parses every command line that a page, a help text or a hint shows. `names` looks up what pages name, and that each
//! page says for whom it is. `sentences` counts words. `questions` holds the answers that each reader looks for, `rooms` the tables
//! of `docs/design.md`, `pictures` README's pictures, `monitoring` the files for Prometheus and Grafana, and `troubleshooting` an
//! entry for each error code.

mod blocks;
mod commands;
mod languages;
#[cfg(unix)]
mod lost_primary;
mod monitoring;
mod names;
pub mod pages;
mod pictures;
mod questions;
mod rooms;
mod rust;
mod sentences;
mod troubleshooting;
