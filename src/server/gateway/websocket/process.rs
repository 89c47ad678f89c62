//! The handshake with a process.

use crate::server::gateway::error::GatewayError;
use crate::server::gateway::upstream::{UpstreamTarget, connections};
use axum::http::{HeaderValue, Request, header};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Returns the configuration of a socket whose messages have at most so many bytes.
pub fn message_limit(longest: Option<usize>) -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(longest)
        .max_frame_size(longest)
}

/// Opens a socket to a process.
pub async fn open_socket(
    target: &UpstreamTarget,
    protocol: Option<&HeaderValue>,
) -> Result<WebSocketStream<TcpStream>, GatewayError> {
    let broken = || GatewayError::unavailable("the database's process does not answer");
    let stream = connections::connect(target.process).await.ok_or_else(broken)?;
    let mut request = Request::new(());
    *request.uri_mut() = format!("ws://{}/", target.process.address())
        .parse()
        .map_err(|_| broken())?;
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(
        header::SEC_WEBSOCKET_KEY,
        HeaderValue::try_from(generate_key()).map_err(|_| broken())?,
    );
    if let Some(protocol) = protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.clone());
    }
    target.present(headers, None);
    let opened = client_async_with_config(request, stream, Some(message_limit(None))).await;
    opened.map(|(socket, _)| socket).map_err(|error| {
        tracing::debug!(%error, "a database process did not open a socket");
        broken()
    })
}
