//! The program: everything is in the library's `run`.

fn main() {}
