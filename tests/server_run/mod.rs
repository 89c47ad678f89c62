//! `torso server` as a process: what it must withstand, and what operators are told to do with it.

mod kills;
mod operate;
