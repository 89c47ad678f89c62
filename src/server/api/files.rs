//! Uploads and downloads: pieces of uploads, dumps, and databases as files. They are streamed, never read into memory;
//! a client that is too slow is disconnected.

use super::Server;
use super::call::{OperationCall, RequestTarget};
use super::multipart::Part;
use super::reply::{ApiReply, ReplyFuture};
use crate::control::hosted::{Caller, Hosted};
use crate::control::names::{DatabaseName, LocationCode};
use crate::error::{Code, Error, Result};
use crate::server::file_body;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// The longest silence of a client, while it sends or receives.
const IDLE: Duration = Duration::from_secs(30);

/// The longest time of one request.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Pieces in the queue between the network and the disk.
const PIECES: usize = 8;

/// A file request of an authenticated caller.
pub(super) struct Transfer {
    pub server: Arc<Server>,
    pub hosted: Arc<Hosted>,
    pub caller: Caller,
    pub target: RequestTarget,
}

impl Transfer {
    pub fn new(server: &Arc<Server>, hosted: Arc<Hosted>, caller: Caller, target: RequestTarget) -> Self {
        Self {
            server: Arc::clone(server),
            hosted,
            caller,
            target,
        }
    }
}

pub(super) fn begin_upload(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: NewUpload = call.body()?;
    let sha256 = new.sha256.as_deref().map(checksum).transpose()?;
    let upload = call.hosted.begin_upload(call.caller, call.slug(), new.size, sha256)?;
    ApiReply::of("upload", &upload)
}

pub(super) fn get_upload(transfer: Transfer, _: Parts, _: Body) -> ReplyFuture {
    Box::pin(transfer.get())
}

pub(super) fn put_chunk(transfer: Transfer, parts: Parts, body: Body) -> ReplyFuture {
    Box::pin(transfer.put(parts, body))
}

pub(super) fn drop_upload(call: &OperationCall<'_>) -> Result<ApiReply> {
    let dropped = call
        .hosted
        .drop_upload(call.caller, call.slug(), call.text("uploadId")?)?;
    ApiReply::of("upload", &dropped)
}

pub(super) fn upload_dump(transfer: Transfer, parts: Parts, body: Body) -> ReplyFuture {
    Box::pin(transfer.dump(parts, body))
}

pub(super) fn export_database(transfer: Transfer, _: Parts, _: Body) -> ReplyFuture {
    Box::pin(transfer.export())
}

impl Transfer {
    /// Runs `work` on a thread that may block.
    async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce(&OperationCall<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.permit().await?;
        self.work_with(permit, work).await.map(|(done, _)| done)
    }

    /// The same with a permit that was obtained before.
    async fn work_with<T: Send + 'static>(
        self,
        permit: OwnedSemaphorePermit,
        work: impl FnOnce(&OperationCall<'_>) -> Result<T> + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit)> {
        super::blocking(move || {
            let call = OperationCall::new(&self.hosted, &self.caller, &self.target, Bytes::new())?;
            Ok((work(&call)?, permit))
        })
        .await
    }

    /// Waits for a permit for a transfer.
    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.server.transfers)
            .acquire_owned()
            .await
            .map_err(|_| super::defect())
    }

    async fn get(self) -> Result<ApiReply> {
        let upload = self
            .work(|call| call.hosted.upload(call.caller, call.slug(), call.text("uploadId")?))
            .await?;
        ApiReply::of("upload", &upload)
    }

    async fn put(self, parts: Parts, body: Body) -> Result<ApiReply> {
        let len = length(&parts.headers)?;
        let mut reader = BodyReader::of(body);
        let upload = self
            .work(move |call| {
                let id = call.text("uploadId")?;
                let offset = call.number("offset")?.unwrap_or(0);
                call.hosted
                    .put_chunk(call.caller, call.slug(), id, offset, &mut reader, len)
            })
            .await?;
        ApiReply::of("upload", &upload)
    }

    async fn dump(self, parts: Parts, body: Body) -> Result<ApiReply> {
        let in_parts = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.starts_with("multipart/"));
        let mut reader = BodyReader::of(body);
        let (upload, url) = self
            .work(move |call| {
                if in_parts {
                    let mut part = Part::first(reader)?;
                    call.hosted.adopt_dump(call.caller, call.slug(), &mut part)
                } else {
                    call.hosted.adopt_dump(call.caller, call.slug(), &mut reader)
                }
            })
            .await?;
        Ok(ApiReply::Json(
            serde_json::json!({ "dump_url": url, "upload": upload.id }),
        ))
    }

    async fn export(self) -> Result<ApiReply> {
        let permit = self.permit().await?;
        let (export, permit) = self
            .work_with(permit, |call| {
                let name: DatabaseName = call.name("databaseName")?;
                let location: Option<LocationCode> = call.query_as("location")?;
                call.hosted.export(call.caller, call.slug(), &name, location.as_ref())
            })
            .await?;
        let (size, name) = (export.size, export.name.clone());
        Ok(ApiReply::File {
            body: file_body::stream(export, permit, || true),
            size,
            name,
        })
    }
}

#[derive(Deserialize)]
struct NewUpload {
    size: u64,
    sha256: Option<String>,
}

fn checksum(text: &str) -> Result<[u8; 32]> {
    let wrong = || {
        Error::new(Code::InvalidValue, "sha256 is not 64 hexadecimal digits")
            .hint("leave it out, or send all 64 digits")
    };
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    if digits.len() != 64 {
        return Err(wrong());
    }
    bytes.try_into().map_err(|_| wrong())
}

fn length(headers: &HeaderMap) -> Result<u64> {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .ok_or_else(|| {
            Error::new(Code::InvalidValue, "the length of the chunk is missing").hint("send a Content-Length header")
        })
}

/// An arriving body, as a reader for a thread that may block. A body that breaks off is an error, not an end.
struct BodyReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl BodyReader {
    fn of(body: Body) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES);
        tokio::spawn(async move {
            if tokio::time::timeout(LONGEST, pump(body, &sender)).await.is_err() {
                let _ = sender.send(Err(io::ErrorKind::TimedOut.into())).await;
            }
        });
        Self {
            pieces,
            piece: Bytes::new(),
        }
    }
}

async fn pump(mut body: Body, sender: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let piece = match tokio::time::timeout(IDLE, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_) => continue,
            },
            Ok(Some(Err(error))) => Err(io::Error::other(error)),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let last = piece.is_err();
        if sender.send(piece).await.is_err() || last {
            return;
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_checksum_is_parsed_or_refused() {
        assert_eq!(checksum(&"0f".repeat(32)).unwrap(), [15; 32]);
        assert_eq!(checksum(&"FF".repeat(32)).unwrap(), [255; 32]);
        for bad in [
            "",
            "0f",
            &"0".repeat(63),
            &"0".repeat(65),
            &"g".repeat(64),
            &"é".repeat(32),
        ] {
            assert!(checksum(bad).is_err(), "{bad}");
        }
    }
}
