//! The documentation is true: what a page shows is run, what it names exists, what it links to is there.
//!
//! `pages` reads the pages. Every fenced block is run by `blocks`, or says in a comment before it why it is not. `commands`
//! parses every command line that a page, a help text or a hint shows. `names` looks up what pages name.

mod blocks;
mod commands;
mod names;
mod pages;
mod pictures;
mod sentences;
