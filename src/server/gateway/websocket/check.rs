//! The check of a client's messages: each is passed on, replaced or answered here.

use super::messages::{close_frame, close_frame_of_error};
use super::session::{MessageAction, SocketSession};
use crate::control::gateway_plane::Route;
use crate::control::tokens::Authorization;
use crate::hrana::client_message::{ClientMessage, Encoding, RequestKind};
use crate::hrana::server_message::EncodedMessage;
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::policy::{self, BodyEncoding, BodySummary, check_quota, check_relayed, replica_pragmas};
use crate::sqltext::policy::InstanceKind;
use crate::sync::lock;
use bytes::Bytes;
use std::sync::atomic::Ordering;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

impl SocketSession {
    /// Returns what is to be done with a message of the client.
    pub async fn check_message(&self, body_encoding: BodyEncoding, message: &Bytes) -> MessageAction {
        let encoding = if body_encoding == BodyEncoding::Json {
            Encoding::Json
        } else {
            Encoding::Protobuf
        };
        if let Some(token) = encoding.hello(message) {
            return match self.authorize_hello(token).await {
                Ok(internal) => {
                    self.awaits_hello.store(true, Ordering::Relaxed);
                    MessageAction::Replace(encoding.hello_with_token(&internal).into())
                }
                Err(error) => {
                    let end = close_frame_of_error(&error);
                    MessageAction::AnswerAndEnd(encoding.hello_error(&error).into(), end)
                }
            };
        }
        if let Err(error) = self.check_token() {
            let end = close_frame(CloseCode::Policy, &error.message);
            let answer = encoding.error_response(encoding.request_id(message), &error);
            return MessageAction::AnswerAndEnd(answer.into(), end);
        }
        let is_read_only = self.is_read_only.load(Ordering::Relaxed);
        let checked = self.check_sql(body_encoding, message, is_read_only).await;
        if let Ok(summary) = &checked
            && let Err(error) = self.enter_write(message, summary).await
        {
            let answer = encoding.error_response(encoding.request_id(message), &error);
            return MessageAction::Answer(answer.into());
        }
        if let Some(answer) = self.answer_from_state(encoding, message, is_read_only, checked) {
            return MessageAction::Answer(answer.into());
        }
        if self.route.is_primary {
            return MessageAction::Pass;
        }
        replica_pragmas::rewrite_for_replica(body_encoding, message)
            .and_then(|message| match encoding {
                Encoding::Json => Some(Message::Text(String::from_utf8(message).ok()?.into())),
                Encoding::Protobuf => Some(Message::Binary(message.into())),
            })
            .map_or(MessageAction::Pass, MessageAction::Replace)
    }

    /// Records a request in the socket's state. Returns an answer where it must not go on to the process: it is malformed, its
    /// SQL is refused, or it builds on something that was.
    fn answer_from_state(
        &self,
        encoding: Encoding,
        message: &[u8],
        is_read_only: bool,
        checked: Result<BodySummary, GatewayError>,
    ) -> Option<EncodedMessage> {
        let mut state = lock(&self.state);
        let mut request = None;
        if is_read_only || encoding.may_change_state(message) || state.has_refused() {
            request = encoding.parse_request(message);
            if request.is_none() {
                let error = GatewayError::bad("the message is not a request");
                return Some(encoding.error_response(encoding.request_id(message), &error));
            }
        }
        let summary = match checked {
            Ok(summary) => summary,
            Err(error) => {
                if error.is_about_sql() {
                    self.core.counters.count_refused_sql();
                }
                let answer = encoding.error_response(encoding.request_id(message), &error);
                // What follows on it is refused here, too.
                match request.or_else(|| encoding.parse_request(message)) {
                    Some(request) if request.kind == RequestKind::StoreSql => state.record_refused_sql(&request, error),
                    Some(request) => state.record_refused_run(&request, error),
                    None => {}
                }
                return Some(answer);
            }
        };
        let request: ClientMessage = request?;
        if request.kind == RequestKind::StoreSql {
            // With another token it would be a write.
            state.record_sql(&request, summary.text.writes);
        } else if is_read_only && state.runs_writing_sql(&request) {
            // The process would end the socket.
            let error = GatewayError::read_only();
            let answer = encoding.error_response(request.request_id, &error);
            state.record_refused_run(&request, error);
            return Some(answer);
        }
        state.record_request(&request, encoding, || {
            let Route { id, location, .. } = &*self.route;
            self.core.open.open_slot(id, location, None)
        })
    }

    /// Checks the SQL of a message.
    async fn check_sql(
        &self,
        encoding: BodyEncoding,
        message: &Bytes,
        is_read_only: bool,
    ) -> Result<BodySummary, GatewayError> {
        let authorization = if is_read_only {
            Authorization::ReadOnly
        } else {
            Authorization::FullAccess
        };
        let instance = if self.route.is_primary {
            InstanceKind::Primary
        } else {
            InstanceKind::Replica
        };
        let summary = policy::check_sql(encoding, message, authorization, instance).await?;
        check_quota(&self.core, &self.route, &summary)?;
        if !self.route.is_primary {
            check_relayed(message.len(), &summary)?;
        }
        // The process would end the socket.
        if is_read_only && summary.text.read_needs_full_access {
            return Err(GatewayError::reads_in_another_form());
        }
        Ok(summary)
    }
}
