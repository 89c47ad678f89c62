//! What scripts and applications do with databases: throw-away ones, details to connect with, migrations, and SQL on
//! many at once.

mod apply;
mod branches;
mod ci;
mod compare;
mod connect;
mod dev;
mod exec;
mod migrate;
mod platform;
mod run;
