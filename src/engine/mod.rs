//! Where databases run.
