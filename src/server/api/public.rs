//! What is answered without a token: whether the server is well, and what clients want to know before they have one.

use super::super::Server;
use super::super::dispatch::Meta;
use super::is_trusted;
use super::reply::Reply;
use crate::control::routes::Operation;
use crate::error::{Code, Error, Result};
use axum::http::header;
use axum::http::request::Parts;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the official CLI tells its version in.
const CLI_VERSION: &str = "tursocliversion";

pub(super) async fn answer(server: &Arc<Server>, operation: Operation, parts: &Parts, meta: &Meta) -> Result<Reply> {
    match operation {
        Operation::Health => Ok(Reply::Json(json!({ "status": "ok" }))),
        Operation::Ready => server.hosted().map(|_| Reply::Json(json!({ "status": "ready" }))),
        Operation::Metrics => {
            is_trusted(server, parts, meta).await?;
            let mut text = server.metrics.text(server.hosted().is_ok());
            if let Some(gateway) = server.gateway() {
                gateway.write_metrics(&mut text);
            }
            Ok(Reply::Page {
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                text,
                policy: None,
            })
        }
        Operation::LatestRelease => Ok(latest(parts)),
        Operation::Landing => Ok(landing(parts)),
        _ => Err(Error::new(Code::Internal, "this is not answered without a token")),
    }
}

/// A client that is told its own version has nothing to update to.
fn latest(parts: &Parts) -> Reply {
    let version = parts
        .headers
        .get(CLI_VERSION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or(concat!("v", env!("CARGO_PKG_VERSION")));
    Reply::Json(json!({ "latest": version }))
}

/// The login page for browsers; for others, the nearest region, which is this server.
fn landing(parts: &Parts) -> Reply {
    let query: BTreeMap<String, String> = super::call::query(parts);
    let wants_page = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if !wants_page && !query.contains_key("port") && !query.contains_key("redirect") {
        return Reply::Json(json!({ "server": "local", "client": "local" }));
    }
    let port = query.get("port").and_then(|port| port.parse::<u16>().ok());
    page(port, query.get("state").map_or("", String::as_str))
}

/// The user brings a token: there are no passwords here. The form hands it to the client that waits on the user's own
/// machine; it is never sent to this server.
fn page(port: Option<u16>, state: &str) -> Reply {
    let (form, action) = match port {
        Some(port) => {
            let action = format!("http://localhost:{port}/");
            let form = format!(
                "<form action=\"{action}\" method=\"get\" autocomplete=\"off\">\
                 <input type=\"hidden\" name=\"state\" value=\"{}\">\
                 <label>API token <input type=\"password\" name=\"jwt\" required></label> \
                 <button>Sign in</button></form>",
                escaped(state)
            );
            (form, action)
        }
        None => (
            "<p>Sign in with a token: <code>torso auth login</code>, or with Turso's program \
             <code>turso config set token TOKEN</code>.</p>"
                .to_owned(),
            "'none'".to_owned(),
        ),
    };
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>torso server</title>\
         <h1>torso server</h1>{form}\
         <p>The owner's token was printed when this server started for the first time. \
         <code>torso auth api-tokens create NAME</code> makes more.</p></html>\n"
    );
    Reply::Page {
        content_type: "text/html; charset=utf-8",
        text,
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
    fn a_page_holds_no_markup_of_whoever_made_the_link() {
        let Reply::Page { text, policy, .. } = page(Some(4000), "\"><script>x</script>") else {
            panic!("no page");
        };
        assert!(!text.contains("<script"));
        assert!(text.contains("action=\"http://localhost:4000/\""));
        assert!(policy.unwrap().contains("form-action http://localhost:4000/;"));
    }
}
