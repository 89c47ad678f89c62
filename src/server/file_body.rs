//! A database's file as the body of an answer, streamed from the disk. Who may have it is the caller's to decide.

use crate::control::gateway_plane::Export;
use axum::body::Body;
use bytes::Bytes;
use std::io::{self, Read as _};
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest time that a client may take nothing.
const IDLE: Duration = Duration::from_secs(30);

/// Pieces in the queue between the disk and the network.
const PIECES: usize = 8;

/// Bytes of a piece read from the disk.
const PIECE: usize = 128 << 10;

/// The file as a body, which holds `permit` until its end and breaks off as soon as `is_allowed` says no. No thread waits
/// for a slow client; one that takes nothing for a while is disconnected.
pub(super) fn stream<P: Send + 'static>(
    export: Export,
    permit: P,
    is_allowed: impl Fn() -> bool + Send + 'static,
) -> Body {
    let (sender, pieces) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    tokio::spawn(async move {
        let _permit = permit;
        let mut export = export;
        loop {
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; PIECE];
                let count = export.file.read(&mut piece);
                (export, count.map(|count| Bytes::from(piece).split_to(count)))
            });
            let Ok((back, piece)) = read.await else { return };
            export = back;
            let piece = match piece {
                Ok(piece) if piece.is_empty() => return,
                Ok(_) if !is_allowed() => Err(io::ErrorKind::PermissionDenied.into()),
                piece => piece,
            };
            let is_last = piece.is_err();
            let sent = tokio::time::timeout(IDLE, sender.send(piece)).await;
            if is_last || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    });
    Body::from_stream(futures_util::stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece, pieces))
    }))
}
