//! Endpoints without authentication: health, metrics, login page, invitations.

use super::super::Server;
use super::super::metrics_text::MetricsText;
use super::super::process_metrics;
use super::super::request_context::RequestContext;
use super::body::Named;
use super::reply::{ApiReply, ReplyFuture};
use super::{StateAccess, body, check_state_access, once, work};
use crate::control::gateway_plane::GatewayPlane as _;
use crate::control::hosted::{CallRequest, RequestAccount};
use crate::control::names::Username;
use crate::error::{Code, Error, Result};
use axum::body::Body;
use axum::http::header;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use url::Url;

/// The header in which the official CLI sends its version.
const CLI_VERSION: &str = "tursocliversion";

/// A request of somebody who need not have a token.
pub(super) struct PublicRequest {
    pub server: Arc<Server>,
    pub parts: Parts,
    pub body: Body,
    pub context: RequestContext,
}

pub(super) fn health(_: PublicRequest) -> ReplyFuture {
    Box::pin(async { Ok(ApiReply::Json(json!({ "status": "ok" }))) })
}

pub(super) fn ready(request: PublicRequest) -> ReplyFuture {
    Box::pin(async move {
        let access = check_state_access(&request.server, &request.parts, &request.context).await;
        readiness(&request.server, access.is_ok_and(|access| access == StateAccess::Names))
    })
}

pub(super) fn metrics(request: PublicRequest) -> ReplyFuture {
    Box::pin(async move {
        let access = check_state_access(&request.server, &request.parts, &request.context).await?;
        let server = &request.server;
        let damaged = server.hosted().map_or_else(|_| Vec::new(), |hosted| hosted.damaged());
        let mut text = MetricsText::default();
        server
            .metrics
            .write(&mut text, readiness(server, false).is_ok(), damaged.len());
        if let Ok(hosted) = server.hosted() {
            text = work(server, move || {
                process_metrics::write(&mut text, &hosted, access == StateAccess::Names);
                Ok(text)
            })
            .await?;
        }
        if let Some(node) = server.node() {
            process_metrics::write_node(&mut text, node);
        }
        if let Some(gateway) = server.gateway() {
            gateway.write_metrics(&mut text);
        }
        Ok(ApiReply::Page {
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            text: text.into_string(),
            policy: None,
        })
    })
}

pub(super) fn latest_release(request: PublicRequest) -> ReplyFuture {
    Box::pin(async move { Ok(latest(&request.parts)) })
}

pub(super) fn landing(request: PublicRequest) -> ReplyFuture {
    Box::pin(async move { landing_page(&request.server, &request.parts, &request.context).await })
}

pub(super) fn accept_invite(request: PublicRequest) -> ReplyFuture {
    Box::pin(async move {
        let PublicRequest {
            server,
            parts,
            body,
            context,
        } = request;
        accept(&server, &parts, body, &context).await
    })
}

fn readiness(server: &Server, names: bool) -> Result<ApiReply> {
    if let Some(node) = server.node() {
        node.check_ready()?;
        return Ok(ApiReply::Json(json!({ "status": "ready" })));
    }
    let hosted = server.hosted()?;
    let damaged = hosted.damaged();
    if !damaged.is_empty() {
        let which = match damaged.len() {
            _ if names => format!(
                "not served, because their files are missing or damaged: {}",
                damaged.join(", ")
            ),
            1 => "1 database is not served, because its file is missing or damaged".to_owned(),
            count => format!("{count} databases are not served, because their files are missing or damaged"),
        };
        return Err(
            Error::new(Code::DatabaseDamaged, which).hint("torso doctor says what to do; the others are served")
        );
    }
    hosted.check_ready()?;
    let mut answer = json!({ "status": "ready" });
    if let Some(confinement) = hosted.confinement() {
        answer["confinement"] = confinement.name().into();
    }
    Ok(ApiReply::Json(answer))
}

#[derive(Deserialize)]
struct Acceptance {
    /// The invitation's text, or its whole link.
    invitation: String,
    username: Named<Username>,
}

/// Makes a user of the bearer of an invitation; the answer has the user's first API token. Attempts are rate-limited by
/// address.
async fn accept(server: &Arc<Server>, parts: &Parts, body: Body, meta: &RequestContext) -> Result<ApiReply> {
    server.limiter.take(&meta.client.to_string())?;
    let hosted = server.hosted()?;
    let bytes = body::whole(body).await?;
    let is_form = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let body = if is_form {
        body::form(&bytes)
    } else {
        body::object(&bytes)?
    };
    let acceptance: Acceptance = body::read(body)?;
    let username = acceptance.username.get()?;
    let text = acceptance.invitation.trim();
    let text = text.rsplit_once("invite=").map_or(text, |(_, text)| text).to_owned();
    let request = once::key(parts)?.map(|key| {
        let fingerprint = once::fingerprint(parts, &bytes);
        hosted.keyed_request(RequestAccount::Invitation(&text), &key, fingerprint)
    });
    let starting = Arc::clone(&hosted);
    let accept = move |request: Option<CallRequest>| {
        let (user, token) = hosted.accept_invite(&text, &username, request)?;
        Ok(ApiReply::Json(json!({ "user": user, "token": token })))
    };
    match request {
        None => work(server, move || accept(None)).await,
        Some(request) => {
            let start = move |request: &_| starting.begin_request(request, None, None);
            once::perform(server, request, start, move |request| accept(Some(request))).await
        }
    }
}

/// The answer is the client's own version, so that it does not ask for an update.
fn latest(parts: &Parts) -> ApiReply {
    let version = parts
        .headers
        .get(CLI_VERSION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or(concat!("v", env!("CARGO_PKG_VERSION")));
    ApiReply::Json(json!({ "latest": version }))
}

/// The login page for browsers; for others, the nearest region, which is this server.
async fn landing_page(server: &Arc<Server>, parts: &Parts, meta: &RequestContext) -> Result<ApiReply> {
    let query: BTreeMap<String, String> = super::call::query(parts);
    let wants_page = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let asks_for_page = ["port", "redirect", "invite"]
        .iter()
        .any(|key| query.contains_key(*key));
    if !wants_page && !asks_for_page {
        return Ok(ApiReply::Json(json!({ "server": "local", "client": "local" })));
    }
    if let Some(invitation) = query.get("invite").cloned() {
        // Attempts are as many as those to accept one.
        server.limiter.take(&meta.client.to_string())?;
        let hosted = server.hosted()?;
        let text = invitation.clone();
        let is_open = work(server, move || hosted.is_invitation_open(&text)).await?;
        return Ok(if is_open {
            invitation_page(server.hosted()?.url(), &invitation)
        } else {
            page(
                "<p>This invitation was used, withdrawn, or is older than a week. Ask for another one.</p>",
                "'none'",
            )
        });
    }
    let port = query.get("port").and_then(|port| port.parse::<u16>().ok());
    Ok(login_page(port, query.get("state").map_or("", String::as_str)))
}

/// The login page of the browser flow. There are no passwords: the user pastes an API token, and the form sends it to
/// the client that waits on the user's own machine, never to this server.
fn login_page(port: Option<u16>, state: &str) -> ApiReply {
    let about = "<p>The owner's token was printed when this server started for the first time. \
                 <code>torso auth api-tokens create NAME</code> makes more.</p>";
    match port {
        Some(port) => {
            let action = format!("http://localhost:{port}/");
            let form = format!(
                "<form action=\"{action}\" method=\"get\" autocomplete=\"off\">\
                 <input type=\"hidden\" name=\"state\" value=\"{}\">\
                 <label>API token <input type=\"password\" name=\"jwt\" required></label> \
                 <button>Sign in</button></form>",
                escaped(state)
            );
            page(&format!("{form}{about}"), &action)
        }
        None => page(
            &format!(
                "<p>Sign in with a token: <code>torso auth login</code>, or with Turso's program \
                 <code>turso config set token TOKEN</code>.</p>{about}"
            ),
            "'none'",
        ),
    }
}

/// The page behind an invitation's link, where the invited person chooses a name.
fn invitation_page(base: &Url, invitation: &str) -> ApiReply {
    let base = base.as_str().trim_end_matches('/');
    let form = format!(
        "<p>You are invited. Choose a name; the answer has your API token, which is shown only then.</p>\
         <form action=\"v1/invitations/accept\" method=\"post\" autocomplete=\"off\">\
         <input type=\"hidden\" name=\"invitation\" value=\"{}\">\
         <label>Name <input name=\"username\" pattern=\"[a-z0-9\\-]+\" required></label> \
         <button>Accept</button></form>\
         <p>Or in a terminal:</p><pre>torso context add NAME --url {}\n\
         torso auth accept --context NAME --username USER '{}/signup?invite={}'</pre>",
        escaped(invitation),
        escaped(base),
        escaped(base),
        escaped(invitation)
    );
    page(&form, "'self'")
}

/// An HTML page that loads nothing and whose form can only be sent to `action`.
fn page(content: &str, action: &str) -> ApiReply {
    ApiReply::Page {
        content_type: "text/html; charset=utf-8",
        text: format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>torso server</title>\
             <h1>torso server</h1>{content}</html>\n"
        ),
        policy: Some(format!(
            "default-src 'none'; form-action {action}; frame-ancestors 'none'; base-uri 'none'"
        )),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_page_escapes_markup_from_its_link() {
        let ApiReply::Page { text, policy, .. } = login_page(Some(4000), "\"><script>x</script>") else {
            panic!("no page");
        };
        assert!(!text.contains("<script"));
        assert!(text.contains("action=\"http://localhost:4000/\""));
        assert!(policy.unwrap().contains("form-action http://localhost:4000/;"));
    }
}
