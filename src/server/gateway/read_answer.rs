//! Answers to reads in streams that are kept (`streams::ReadStreams`), made into those that the client would have got from a
//! stream of its own: without a baton, and with the result of closing the stream at the end.

use super::Core;
use super::streams::{BATON_LENGTH, StreamName, StreamRead};
use super::upstream::connections::UpstreamBody;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How an answer begins that names a stream, and what it has in place of the name where there is none.
const BATON: &[u8] = br#"{"baton":""#;
const NO_BATON: &[u8] = br#"{"baton":null"#;

/// How an answer ends, and what comes before that where the stream was closed.
const END: &[u8] = b"]}";
const CLOSED: &[u8] = br#",{"type":"ok","response":{"type":"close"}}"#;

/// The body of an answer of a process.
pub(super) enum AnswerBody {
    /// As the process sends it.
    Process(UpstreamBody),
    Read(ReadAnswer),
}

/// The answer to a read in a kept stream.
pub(super) struct ReadAnswer {
    core: Arc<Core>,
    read: StreamRead,
    inner: UpstreamBody,
    /// The stream, until the whole answer has come.
    name: Option<StreamName>,
    /// What has come and was not passed on. Its last bytes are held back until it is known that they are the end.
    held: BytesMut,
    has_end: bool,
}

impl ReadAnswer {
    /// Waits for the beginning of an answer. Returns its body, and how many bytes that has if the process's has `length`.
    pub async fn begin(
        core: &Arc<Core>,
        read: StreamRead,
        mut inner: UpstreamBody,
        length: Option<u64>,
    ) -> (Self, Option<u64>) {
        let mut held = BytesMut::new();
        while held.len() < BATON.len() + BATON_LENGTH + 1 {
            match core.limits.await_piece(inner.frame()).await {
                Some(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        held.extend_from_slice(&data);
                    }
                }
                // What is wrong shows again when the rest is asked for.
                _ => break,
            }
        }
        let is_whole = length == Some(held.len() as u64);
        let name = take_baton(&mut held);
        let mut length = length.map(|length| length + CLOSED.len() as u64);
        if name.is_some() {
            length = length.map(|length| length - (BATON_LENGTH + 2) as u64 + "null".len() as u64);
        }
        let mut answer = Self {
            core: Arc::clone(core),
            read,
            inner,
            name,
            held,
            has_end: false,
        };
        if is_whole {
            answer.finish();
        }
        (answer, length)
    }

    /// Completes the answer, all of which has come. False if it does not end as an answer does.
    fn finish(&mut self) -> bool {
        if !self.held.ends_with(END) {
            return false;
        }
        self.held.truncate(self.held.len() - END.len());
        self.held.extend_from_slice(CLOSED);
        self.held.extend_from_slice(END);
        self.has_end = true;
        if let Some(name) = self.name.take() {
            self.core.reads.give_back(&self.read, name);
        }
        true
    }

    /// Takes what can be passed on.
    fn take_piece(&mut self) -> Option<Bytes> {
        let held_back = if self.has_end { 0 } else { END.len() };
        let length = self.held.len().saturating_sub(held_back);
        (length > 0).then(|| self.held.split_to(length).freeze())
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if let Some(piece) = self.take_piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.has_end {
                return Poll::Ready(None);
            }
            match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.held.extend_from_slice(&data);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(axum::Error::new(error)))),
                Poll::Ready(None) if self.finish() => {}
                Poll::Ready(None) => {
                    let error = axum::Error::new("the process's answer is not complete");
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

/// Takes the baton out of the beginning of an answer.
fn take_baton(answer: &mut BytesMut) -> Option<StreamName> {
    let baton = answer.strip_prefix(BATON)?.get(..BATON_LENGTH)?;
    let end = BATON.len() + BATON_LENGTH + 1;
    if answer.get(end - 1) != Some(&b'"') {
        return None;
    }
    let name = baton.to_vec();
    let begin = end - NO_BATON.len();
    answer[begin..end].copy_from_slice(NO_BATON);
    let _ = answer.split_to(begin);
    Some(name)
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Process(body) => Pin::new(body)
                .poll_frame(context)
                .map(|next| next.map(|frame| frame.map_err(axum::Error::new))),
            Self::Read(answer) => answer.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Process(body) => body.is_end_stream(),
            Self::Read(answer) => answer.has_end && answer.held.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Process(body) => body.size_hint(),
            Self::Read(answer) if answer.has_end => SizeHint::with_exact(answer.held.len() as u64),
            Self::Read(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baton_is_taken_out_of_an_answer() {
        let baton = "B".repeat(BATON_LENGTH);
        let mut answer = BytesMut::from(format!(r#"{{"baton":"{baton}","base_url":null,"results":[]}}"#).as_bytes());
        assert_eq!(take_baton(&mut answer).unwrap(), baton.as_bytes());
        assert_eq!(&answer[..], br#"{"baton":null,"base_url":null,"results":[]}"#);
        for other in [
            r#"{"baton":null,"base_url":null,"results":[]}"#.to_owned(),
            format!(r#"{{"baton":"{baton}B","base_url":null}}"#),
            format!(r#"{{"baton":"{baton}"#),
        ] {
            let mut answer = BytesMut::from(other.as_bytes());
            assert!(take_baton(&mut answer).is_none());
            assert_eq!(&answer[..], other.as_bytes());
        }
    }
}
