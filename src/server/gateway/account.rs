//! What a socket has open, and what was refused to it. Clients do not wait for an answer before they go on, and the engine
//! ends a socket that asks about what the engine does not know; so what follows on something refused is refused here.

use super::open::Place;
use super::refusal::Refusal;
use super::speech::{Asked, Does, Speech};
use std::collections::{HashMap, HashSet};
use tokio_tungstenite::tungstenite::Message;

/// What was refused and is remembered. What a client refers to beyond that ends its socket.
const REMEMBERED: usize = 1_024;

/// The state of a socket, see the module.
#[derive(Default)]
pub(super) struct Account {
    streams: HashMap<i32, Place>,
    refused_streams: HashMap<i32, Refusal>,
    refused_sql: HashMap<i32, Refusal>,
    refused_cursors: HashMap<i32, Refusal>,
    /// Stored texts of SQL that write.
    writing_sql: HashSet<i32>,
}

impl Account {
    pub fn has_refused(&self) -> bool {
        !(self.refused_streams.is_empty() && self.refused_sql.is_empty() && self.refused_cursors.is_empty())
    }

    /// Takes note of whether stored SQL writes.
    pub fn note_sql(&mut self, asked: &Asked, writes: bool) {
        for &id in &asked.sql_ids {
            if !writes {
                self.writing_sql.remove(&id);
            } else if self.writing_sql.len() < REMEMBERED {
                self.writing_sql.insert(id);
            }
        }
    }

    /// Whether a request runs or describes stored SQL that writes.
    pub fn runs_writing_sql(&self, asked: &Asked) -> bool {
        matches!(asked.does, Does::Run | Does::OpenCursor | Does::Else)
            && asked.sql_ids.iter().any(|id| self.writing_sql.contains(id))
    }

    /// Takes note of a request to run something that is refused.
    pub fn refuse_run(&mut self, asked: &Asked, refusal: Refusal) {
        if let (Does::OpenCursor, Some(id)) = (asked.does, asked.cursor_id)
            && self.refused_cursors.len() < REMEMBERED
        {
            self.refused_cursors.insert(id, refusal);
        }
    }

    pub fn refuse_sql(&mut self, asked: &Asked, refusal: Refusal) {
        if let Some(&id) = asked.sql_ids.first()
            && self.refused_sql.len() < REMEMBERED
        {
            self.refused_sql.insert(id, refusal);
        }
    }

    /// Records a request. Returns an answer if the request must not go on to the process.
    pub fn enter(
        &mut self,
        asked: &Asked,
        speech: Speech,
        place: impl FnOnce() -> Result<Place, Refusal>,
    ) -> Option<Message> {
        let id = asked.request_id;
        match (asked.does, asked.stream_id) {
            // If it is open already, the process refuses it.
            (Does::OpenStream, Some(stream)) if self.streams.contains_key(&stream) => None,
            (Does::OpenStream, Some(stream)) => match place() {
                Ok(place) => {
                    self.streams.insert(stream, place);
                    self.refused_streams.remove(&stream);
                    None
                }
                Err(refusal) => {
                    let answer = speech.error(id, &refusal);
                    if self.refused_streams.len() < REMEMBERED {
                        self.refused_streams.insert(stream, refusal);
                    }
                    Some(answer)
                }
            },
            (Does::OpenStream, None) => Some(speech.error(id, &Refusal::bad("the stream has no id"))),
            (Does::CloseStream, Some(stream)) => {
                self.streams.remove(&stream);
                let refused = self.refused_streams.remove(&stream);
                refused.map(|_| speech.closed(id, asked.does))
            }
            (Does::StoreSql, _) => {
                for id in &asked.sql_ids {
                    self.refused_sql.remove(id);
                }
                None
            }
            (Does::CloseSql, _) => {
                for id in &asked.sql_ids {
                    self.writing_sql.remove(id);
                }
                let refused = asked.sql_ids.first().and_then(|id| self.refused_sql.remove(id));
                refused.map(|_| speech.closed(id, asked.does))
            }
            (Does::CloseCursor, _) => {
                let refused = asked.cursor_id.and_then(|id| self.refused_cursors.remove(&id));
                refused.map(|_| speech.closed(id, asked.does))
            }
            (Does::FetchCursor, _) => {
                let refused = asked.cursor_id.and_then(|id| self.refused_cursors.get(&id));
                refused.map(|refusal| speech.error(id, refusal))
            }
            (Does::CloseStream | Does::Run | Does::OpenCursor | Does::Else, stream) => {
                let refused = stream.and_then(|stream| self.refused_streams.get(&stream));
                let refused = refused.or_else(|| asked.sql_ids.iter().find_map(|id| self.refused_sql.get(id)));
                let answer = refused.map(|refusal| speech.error(id, refusal));
                if let (Does::OpenCursor, Some(cursor)) = (asked.does, asked.cursor_id) {
                    match refused.cloned() {
                        Some(refusal) => self.refuse_run(asked, refusal),
                        None => drop(self.refused_cursors.remove(&cursor)),
                    }
                }
                answer
            }
        }
    }
}
