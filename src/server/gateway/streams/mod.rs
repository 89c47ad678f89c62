//! What outlives a request: streams of the engine's processes, their batons, and how many of them a database has open.

mod batons;
mod read_streams;
mod registry;
mod state;

pub use batons::{BATON_LENGTH, BatonLabels, UnlabelledBody, ends_stream, without_baton};
pub use read_streams::{KeptRead, ReadStreams, StreamRead};
pub use registry::{StreamKind, StreamName, StreamRegistry, StreamSlot};
pub use state::{StreamState, says_stream_is_gone};
