//! The shell.

pub mod dump;
pub mod render;
