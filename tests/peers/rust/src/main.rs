//! Nothing: the program is in `docs/tutorials/rust.md`.

fn main() {}
