//! The protobuf encoding of Hrana.

pub mod cursor;
pub mod fields;
pub mod varint;
