//! The shell.

pub mod dump;
pub mod editor;
pub mod render;
