//! What scripts and applications do with databases: throw-away ones, and details to connect with.

mod connect;
mod run;
