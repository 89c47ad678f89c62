//! The shell.

pub mod render;
