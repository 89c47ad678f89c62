//! What a socket has open, and what was refused to it. Clients do not wait for an answer before they go on, and the engine
//! ends a socket that asks about what the engine does not know; so what follows on something refused is refused here.

use crate::hrana::client_message::{ClientMessage, Encoding, RequestKind};
use crate::hrana::server_message::EncodedMessage;
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::streams::StreamSlot;
use std::collections::{HashMap, HashSet};

/// What was refused and is remembered. What a client refers to beyond that ends its socket.
const REMEMBERED: usize = 1_024;

/// The state of a socket, see the module.
#[derive(Default)]
pub struct SocketState {
    streams: HashMap<i32, StreamSlot>,
    refused_streams: HashMap<i32, GatewayError>,
    refused_sql: HashMap<i32, GatewayError>,
    refused_cursors: HashMap<i32, GatewayError>,
    /// Stored texts of SQL that write.
    writing_sql: HashSet<i32>,
}

impl SocketState {
    pub fn has_refused(&self) -> bool {
        !(self.refused_streams.is_empty() && self.refused_sql.is_empty() && self.refused_cursors.is_empty())
    }

    /// Records whether stored SQL writes.
    pub fn record_sql(&mut self, message: &ClientMessage, writes: bool) {
        for &id in &message.sql_ids {
            if !writes {
                self.writing_sql.remove(&id);
            } else if self.writing_sql.len() < REMEMBERED {
                self.writing_sql.insert(id);
            }
        }
    }

    /// Whether a request runs or describes stored SQL that writes.
    pub fn runs_writing_sql(&self, message: &ClientMessage) -> bool {
        matches!(
            message.kind,
            RequestKind::Run | RequestKind::OpenCursor | RequestKind::Other
        ) && message.sql_ids.iter().any(|id| self.writing_sql.contains(id))
    }

    /// Records that a request to run something was refused.
    pub fn record_refused_run(&mut self, message: &ClientMessage, error: GatewayError) {
        if let (RequestKind::OpenCursor, Some(id)) = (message.kind, message.cursor_id)
            && self.refused_cursors.len() < REMEMBERED
        {
            self.refused_cursors.insert(id, error);
        }
    }

    /// Records that a request to store SQL was refused.
    pub fn record_refused_sql(&mut self, message: &ClientMessage, error: GatewayError) {
        if let Some(&id) = message.sql_ids.first()
            && self.refused_sql.len() < REMEMBERED
        {
            self.refused_sql.insert(id, error);
        }
    }

    /// Records a request. Returns an answer if the request must not go on to the process.
    pub fn record_request(
        &mut self,
        message: &ClientMessage,
        encoding: Encoding,
        slot: impl FnOnce() -> Result<StreamSlot, GatewayError>,
    ) -> Option<EncodedMessage> {
        let id = message.request_id;
        match (message.kind, message.stream_id) {
            // If it is open already, the process refuses it.
            (RequestKind::OpenStream, Some(stream)) if self.streams.contains_key(&stream) => None,
            (RequestKind::OpenStream, Some(stream)) => match slot() {
                Ok(slot) => {
                    self.streams.insert(stream, slot);
                    self.refused_streams.remove(&stream);
                    None
                }
                Err(error) => {
                    let answer = encoding.error_response(id, &error);
                    if self.refused_streams.len() < REMEMBERED {
                        self.refused_streams.insert(stream, error);
                    }
                    Some(answer)
                }
            },
            (RequestKind::OpenStream, None) => {
                Some(encoding.error_response(id, &GatewayError::bad("the stream has no id")))
            }
            (RequestKind::CloseStream, Some(stream)) => {
                self.streams.remove(&stream);
                let refused = self.refused_streams.remove(&stream);
                refused.map(|_| encoding.closed_response(id, message.kind))
            }
            (RequestKind::StoreSql, _) => {
                for id in &message.sql_ids {
                    self.refused_sql.remove(id);
                }
                None
            }
            (RequestKind::CloseSql, _) => {
                for id in &message.sql_ids {
                    self.writing_sql.remove(id);
                }
                let refused = message.sql_ids.first().and_then(|id| self.refused_sql.remove(id));
                refused.map(|_| encoding.closed_response(id, message.kind))
            }
            (RequestKind::CloseCursor, _) => {
                let refused = message.cursor_id.and_then(|id| self.refused_cursors.remove(&id));
                refused.map(|_| encoding.closed_response(id, message.kind))
            }
            (RequestKind::FetchCursor, _) => {
                let refused = message.cursor_id.and_then(|id| self.refused_cursors.get(&id));
                refused.map(|error| encoding.error_response(id, error))
            }
            (RequestKind::CloseStream | RequestKind::Run | RequestKind::OpenCursor | RequestKind::Other, stream) => {
                let refused = stream.and_then(|stream| self.refused_streams.get(&stream));
                let refused = refused.or_else(|| message.sql_ids.iter().find_map(|id| self.refused_sql.get(id)));
                let answer = refused.map(|error| encoding.error_response(id, error));
                if let (RequestKind::OpenCursor, Some(cursor)) = (message.kind, message.cursor_id) {
                    match refused.cloned() {
                        Some(error) => self.record_refused_run(message, error),
                        None => drop(self.refused_cursors.remove(&cursor)),
                    }
                }
                answer
            }
        }
    }
}
