//! Several machines, in network namespaces: the link between them, with real libSQL servers at its ends, over a network that breaks.

mod nodes;
mod primaries;
mod replication;
mod serving;
mod site;
