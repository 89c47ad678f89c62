//! Ties streams and clients of the engine to their database. A process holds the databases of a whole group, and whoever
//! shows it the baton of a stream gets that stream's database, whatever database the request is for. So the gateway labels
//! the batons that it hands out, and takes them back only for the same database; and the ids by which outside replicas name
//! their connections are replaced by others, which depend on the database.

use super::registry::StreamName;
use super::state::{SEPARATOR, StreamState};
use crate::control::names::DatabaseId;
use crate::hrana::json::has_escapes;
use crate::hrana::protobuf::fields::{FieldReader, MalformedProtobuf, RawField, put};
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::policy::protobuf;
use crate::server::gateway::policy::{BodyEncoding, each_frame};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::hmac;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Bytes of a baton of the engine's.
pub const BATON_LENGTH: usize = 64;

/// Bytes of a label with what is before it.
const LABEL: usize = 24;

/// The fields of a message with a baton or a client's id in it.
const NAME: u32 = 1;

/// The key of labels. It outlives the server: a client that comes back with a baton of before a start can be told from one
/// that made it up.
pub struct BatonLabels(hmac::Key);

/// A request's body as the engine is to have it, and the name of the stream or client in it.
#[derive(Debug)]
pub struct UnlabelledBody {
    pub body: Bytes,
    pub name: Option<StreamName>,
    /// What the stream had when its client was given the baton.
    pub state: StreamState,
}

impl UnlabelledBody {
    /// A request that names no stream.
    pub fn unnamed(body: Bytes) -> Self {
        Self {
            body,
            name: None,
            state: StreamState::Clean,
        }
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    baton: Option<String>,
}

fn unknown() -> GatewayError {
    GatewayError::new(
        StatusCode::BAD_REQUEST,
        "BATON_INVALID",
        "the baton does not belong to a stream of this database",
    )
}

impl BatonLabels {
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    fn digest(&self, what: &str, id: &DatabaseId, name: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [what.as_bytes(), id.as_str().as_bytes(), name] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }

    /// What is put behind a baton.
    fn label(&self, id: &DatabaseId, baton: &[u8], state: StreamState) -> String {
        let letter = state.letter();
        let what = format!("baton {letter}");
        let text = URL_SAFE_NO_PAD.encode(&self.digest(&what, id, baton).as_ref()[..16]);
        format!("{SEPARATOR}{letter}{text}")
    }

    /// The baton without its label, and the state of its stream.
    fn open<'a>(&self, id: &DatabaseId, labelled: &'a str) -> Result<(&'a str, StreamState), GatewayError> {
        let (baton, label) = labelled.split_once(SEPARATOR).ok_or_else(unknown)?;
        let state = label
            .chars()
            .next()
            .and_then(StreamState::from_letter)
            .ok_or_else(unknown)?;
        let (presented, label) = (&labelled[baton.len()..], self.label(id, baton.as_bytes(), state));
        // How long it takes tells nothing.
        let differ = presented
            .bytes()
            .zip(label.bytes())
            .fold(0, |differ, (a, b)| differ | (a ^ b));
        if presented.len() == label.len() && differ == 0 {
            Ok((baton, state))
        } else {
            Err(unknown())
        }
    }

    /// Returns a request's body with the engine's own baton, or with the id that the engine knows a client by.
    ///
    /// # Errors
    ///
    /// `BATON_INVALID` for a baton of another database, or of none.
    pub fn remove_label(
        &self,
        format: BodyEncoding,
        id: &DatabaseId,
        epoch: u64,
        body: Bytes,
    ) -> Result<UnlabelledBody, GatewayError> {
        match format {
            BodyEncoding::Json => self.remove_json_label(id, body),
            BodyEncoding::Protobuf(_) => {
                let Some(baton) = text(&body)? else {
                    return Ok(UnlabelledBody::unnamed(body));
                };
                let (baton, state) = self.open(id, baton)?;
                Ok(UnlabelledBody {
                    body: renamed(&body, baton.as_bytes())?.into(),
                    name: Some(baton.as_bytes().to_vec()),
                    state,
                })
            }
            BodyEncoding::Grpc(_) => {
                let mut name = None;
                let mut out = Vec::with_capacity(body.len() + 64);
                each_frame(&body, |frame| {
                    let message = match text(frame)? {
                        None => frame.to_vec(),
                        Some(client) => {
                            // A process keeps a client's connection for ever; one of an earlier epoch is not the database's now.
                            let mut name_bytes = client.as_bytes().to_vec();
                            name_bytes.extend(epoch.to_be_bytes());
                            let mut bytes = [0; 16];
                            bytes.copy_from_slice(&self.digest("client", id, &name_bytes).as_ref()[..16]);
                            let client = uuid::Builder::from_random_bytes(bytes).into_uuid().to_string();
                            name = Some(client.clone().into_bytes());
                            renamed(frame, client.as_bytes())?
                        }
                    };
                    let length = u32::try_from(message.len()).map_err(|_| MalformedProtobuf)?;
                    out.push(0);
                    out.extend(length.to_be_bytes());
                    out.extend(message);
                    Ok(())
                })?;
                Ok(UnlabelledBody {
                    name,
                    ..UnlabelledBody::unnamed(out.into())
                })
            }
        }
    }

    fn remove_json_label(&self, id: &DatabaseId, body: Bytes) -> Result<UnlabelledBody, GatewayError> {
        let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if !is_object {
            return Err(GatewayError::bad("the body is not a JSON object"));
        }
        if memchr::memmem::find(&body, b"baton").is_none() && !has_escapes(&body) {
            return Ok(UnlabelledBody::unnamed(body));
        }
        let head: Head = serde_json::from_slice(&body)
            .map_err(|error| GatewayError::bad(format!("the body is not a request in JSON: {error}")))?;
        let Some(labelled) = head.baton else {
            return Ok(UnlabelledBody::unnamed(body));
        };
        let (baton, state) = self.open(id, &labelled)?;
        let name = Some(baton.as_bytes().to_vec());
        let (labelled, baton) = (format!("\"{labelled}\""), format!("\"{baton}\""));
        let mut out = Vec::with_capacity(body.len());
        let mut from = 0;
        // Nobody writes it anywhere else; if so, it means the same there.
        for at in memchr::memmem::find_iter(&body, labelled.as_bytes()) {
            out.extend_from_slice(&body[from..at]);
            out.extend_from_slice(baton.as_bytes());
            from = at + labelled.len();
        }
        // Letters written as numbers.
        if from == 0 {
            return Err(unknown());
        }
        out.extend_from_slice(&body[from..]);
        Ok(UnlabelledBody {
            body: out.into(),
            name,
            state,
        })
    }

    /// The first piece of an answer with its baton labelled, and the baton.
    pub fn add_label(
        &self,
        format: BodyEncoding,
        id: &DatabaseId,
        state: StreamState,
        piece: Bytes,
    ) -> (Bytes, Option<StreamName>) {
        let begins = match format {
            BodyEncoding::Json => piece.strip_prefix(br#"{"baton":""#).map(|_| 10),
            BodyEncoding::Protobuf(message) if message == protobuf::CURSOR => {
                // The first of several messages, with its length.
                matches!(&*piece, [_, 0x0a, length, ..] if usize::from(*length) == BATON_LENGTH).then_some(3)
            }
            BodyEncoding::Protobuf(_) => {
                matches!(&*piece, [0x0a, length, ..] if usize::from(*length) == BATON_LENGTH).then_some(2)
            }
            BodyEncoding::Grpc(_) => None,
        };
        let Some((begin, baton)) = begins.and_then(|begin| Some((begin, piece.get(begin..begin + BATON_LENGTH)?)))
        else {
            return (piece, None);
        };
        let name = baton.to_vec();
        let mut out = Vec::with_capacity(piece.len() + LABEL);
        out.extend_from_slice(&piece[..begin + BATON_LENGTH]);
        out.extend_from_slice(self.label(id, baton, state).as_bytes());
        out.extend_from_slice(&piece[begin + BATON_LENGTH..]);
        if matches!(format, BodyEncoding::Protobuf(_)) {
            // Lengths below 128 are one byte, before and after.
            for length in &mut out[..begin] {
                if *length != 0x0a {
                    *length += LABEL as u8;
                }
            }
        }
        (out.into(), Some(name))
    }
}

/// A request in JSON that names a stream, as one that opens a fresh stream.
pub fn without_baton(body: &[u8], name: &[u8]) -> Option<Bytes> {
    let quoted = [b"\"", name, b"\""].concat();
    let at = memchr::memmem::find(body, &quoted)?;
    Some([&body[..at], b"null", &body[at + quoted.len()..]].concat().into())
}

/// Whether a request ends its stream, as far as that is seen. Then nothing in the answer has to be labelled.
pub fn ends_stream(format: BodyEncoding, body: &[u8]) -> bool {
    /// With anything else in it, the last request is perhaps not what is at the end.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Whole {
        #[serde(default, rename = "baton")]
        _baton: IgnoredAny,
        #[serde(rename = "requests")]
        _requests: Vec<IgnoredAny>,
    }
    format == BodyEncoding::Json
        && body.trim_ascii_end().ends_with(br#"{"type":"close"}]}"#)
        && serde_json::from_slice::<Whole>(body).is_ok()
}

/// What counts of the first field, which may come more than once.
fn text(message: &[u8]) -> Result<Option<&str>, MalformedProtobuf> {
    match FieldReader::new(message).last(NAME) {
        Some(RawField::Bytes(bytes)) => std::str::from_utf8(bytes).map(Some).map_err(|_| MalformedProtobuf),
        Some(RawField::Number(_) | RawField::Fixed(_)) => Err(MalformedProtobuf),
        None => Ok(None),
    }
}

/// A message with another first field.
fn renamed(message: &[u8], name: &[u8]) -> Result<Vec<u8>, MalformedProtobuf> {
    let mut out = Vec::with_capacity(message.len() + 16);
    put(&mut out, NAME, name);
    let mut fields = FieldReader::new(message);
    loop {
        let before = fields.rest();
        match fields.next_field()? {
            None => return Ok(out),
            Some((NAME, _)) => {}
            Some(_) => out.extend_from_slice(&before[..before.len() - fields.rest().len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD";

    fn labelled(streams: &BatonLabels, id: &DatabaseId) -> String {
        let answer = format!(r#"{{"baton":"{TEXT}","base_url":null}}"#);
        let (out, name) = streams.add_label(BodyEncoding::Json, id, StreamState::Clean, answer.into());
        assert_eq!(name.unwrap(), TEXT.as_bytes());
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        value["baton"].as_str().unwrap().to_owned()
    }

    #[test]
    fn baton_goes_back_to_its_own_database_only() {
        let streams = BatonLabels::new(&[7; 32]);
        let (one, two) = (DatabaseId::generate(), DatabaseId::generate());
        let baton = labelled(&streams, &one);
        assert_eq!(baton.len(), TEXT.len() + LABEL);
        let body = Bytes::from(format!(r#" {{"requests":[],"baton" : "{baton}"}}"#));
        let inside = streams.remove_label(BodyEncoding::Json, &one, 1, body.clone()).unwrap();
        assert_eq!(inside.name.unwrap(), TEXT.as_bytes());
        assert_eq!(
            inside.body,
            format!(r#" {{"requests":[],"baton" : "{TEXT}"}}"#).as_bytes()
        );
        let code = |id, body: Bytes| {
            let answer = streams.remove_label(BodyEncoding::Json, id, 1, body);
            answer.map_or_else(|error| error.code, |_| "")
        };
        assert_eq!(code(&two, body), "BATON_INVALID");
        for bad in [
            format!(r#"{{"baton":"{TEXT}"}}"#),
            format!(r#"{{"baton":"{TEXT}."}}"#),
            // Another state than that which the stream had.
            format!(r#"{{"baton":"{}"}}"#, baton.replacen(".c", ".t", 1)),
            format!(r#"{{"baton":"{}"}}"#, baton.replacen(".c", ".x", 1)),
            format!(r#"{{"bato\u006e":"{TEXT}"}}"#),
            format!(r#"{{"baton":"\u0051{}"}}"#, &baton[1..]),
        ] {
            assert_eq!(code(&one, bad.into()), "BATON_INVALID");
        }
        for bad in [
            format!(r#"{{"baton":null,"baton":"{TEXT}"}}"#),
            format!(r#"["{TEXT}",[]]"#),
        ] {
            assert_eq!(code(&one, bad.into()), "BAD_REQUEST");
        }
        for good in [
            r#"{"requests":[]}"#,
            r#"{"baton":null,"requests":[]}"#,
            r#"{"sql":"select baton"}"#,
        ] {
            assert_eq!(code(&one, good.into()), "");
        }
    }

    #[test]
    fn baton_carries_the_state_of_its_stream() {
        let streams = BatonLabels::new(&[7; 32]);
        let id = DatabaseId::generate();
        for state in [StreamState::Clean, StreamState::Transaction, StreamState::Settings] {
            let answer = format!(r#"{{"baton":"{TEXT}","base_url":null}}"#);
            let (out, _) = streams.add_label(BodyEncoding::Json, &id, state, answer.into());
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let body = serde_json::json!({ "baton": value["baton"], "requests": [] }).to_string();
            let inside = streams.remove_label(BodyEncoding::Json, &id, 1, body.into()).unwrap();
            assert_eq!(inside.state, state);
            let fresh = without_baton(&inside.body, &inside.name.unwrap()).unwrap();
            assert_eq!(fresh, r#"{"baton":null,"requests":[]}"#);
        }
    }

    #[test]
    fn baton_in_protobuf_is_labelled() {
        let streams = BatonLabels::new(&[7; 32]);
        let (one, two) = (DatabaseId::generate(), DatabaseId::generate());
        let pipeline = BodyEncoding::Protobuf(protobuf::PIPELINE);
        let mut answer = Vec::new();
        put(&mut answer, 1, TEXT.as_bytes());
        put(&mut answer, 3, b"result");
        let (answer, _) = streams.add_label(pipeline, &one, StreamState::Clean, answer.into());
        assert_eq!(text(&answer).unwrap().unwrap(), labelled(&streams, &one));
        let inside = streams.remove_label(pipeline, &one, 1, answer.clone()).unwrap().body;
        assert_eq!(text(&inside).unwrap(), Some(TEXT));
        assert!(matches!(
            FieldReader::new(&inside).last(3),
            Some(RawField::Bytes(b"result"))
        ));
        assert!(streams.remove_label(pipeline, &two, 1, answer).is_err());
        let mut first = vec![66];
        put(&mut first, 1, TEXT.as_bytes());
        first.extend(b"more");
        let (cursor, _) = streams.add_label(
            BodyEncoding::Protobuf(protobuf::CURSOR),
            &one,
            StreamState::Clean,
            first.into(),
        );
        assert_eq!(
            (usize::from(cursor[0]), &cursor[cursor.len() - 4..]),
            (66 + LABEL, &b"more"[..])
        );
        assert_eq!(
            text(&cursor[1..=usize::from(cursor[0])]).unwrap().unwrap(),
            labelled(&streams, &one)
        );
    }

    #[test]
    fn stream_end_is_seen_and_no_other_request_is_taken_for_it() {
        for (body, expected) in [
            (r#"{"requests":[{"type":"close"}]}"#, true),
            (
                r#" {"baton":null,"requests":[{"type":"execute","stmt":{}},{"type":"close"}]} "#,
                true,
            ),
            (r#"{"requests":[{"type":"execute"}]}"#, false),
            (r#"{"requests":[],"else":[{"type":"close"}]}"#, false),
            (r#"{"requests":[],"requests":[{"type":"close"}]}"#, false),
            (r#"{"requests":[{"type":"x","y":[{"type":"close"}]}"#, false),
        ] {
            assert_eq!(ends_stream(BodyEncoding::Json, body.as_bytes()), expected, "{body}");
        }
        assert!(!ends_stream(
            BodyEncoding::Protobuf(protobuf::PIPELINE),
            br#"{"requests":[{"type":"close"}]}"#
        ));
    }

    #[test]
    fn client_id_differs_in_each_database_and_epoch() {
        let streams = BatonLabels::new(&[7; 32]);
        let ids = [DatabaseId::generate(), DatabaseId::generate()];
        let mut message = Vec::new();
        put(&mut message, 1, b"6f0f7e2a-0000-4000-8000-000000000001");
        put(&mut message, 2, b"program");
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(&message);
        let inside = |id, epoch| {
            let out = streams
                .remove_label(BodyEncoding::Grpc(protobuf::PROGRAM), id, epoch, body.clone().into())
                .unwrap()
                .body;
            text(&out[5..]).unwrap().unwrap().parse::<uuid::Uuid>().unwrap()
        };
        assert_eq!(inside(&ids[0], 1), inside(&ids[0], 1));
        assert_ne!(inside(&ids[0], 1), inside(&ids[1], 1));
        assert_ne!(inside(&ids[0], 1), inside(&ids[0], 3));
    }
}
