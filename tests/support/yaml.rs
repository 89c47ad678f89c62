//! YAML files, read by a Node.js program that also judges workflows and actions (`tests/peers/ci`).

use super::{Run, installed};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The content of YAML files, and what their readers have against them, by path.
pub fn read_all(paths: &[PathBuf]) -> Value {
    let folder = installed::npm_for_ci();
    let mut node = Command::new("node");
    node.args(["--no-warnings", "--import"])
        .arg(folder.join("json-imports.mjs"))
        .arg(folder.join("read.mjs"))
        .args(paths);
    Run::of(node).success().json()
}

/// The content of a YAML file.
pub fn content(path: &Path) -> Value {
    read_all(&[path.to_owned()])[path.to_str().unwrap()]["content"].take()
}
