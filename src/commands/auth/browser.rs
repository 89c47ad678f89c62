//! Logging in through a browser, as Turso Cloud does it: a page is opened, and sends the browser back to a port of this
//! machine with the token.

use crate::commands::token_input;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use url::Url;

/// How long the user may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// The longest request line that is read.
const LONGEST: u64 = 64 << 10;

/// What the browser shows in the end.
const DONE: &str = "You are logged in. You can close this page.";

/// The page that shows a token to copy.
pub(super) fn headless(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_query(Some("redirect=false"));
    url
}

/// Opens the page, and waits for the token.
pub(super) fn login(ctx: &Context, base: &Url) -> Result<Secret> {
    if let Some(why) = ctx.ui.why_silent() {
        return Err(
            Error::new(Code::Usage, format!("cannot log in through a browser: {why}"))
                .hint("pass the token with --token-stdin or --token-file"),
        );
    }
    let doing = |error| Error::io(error, "cannot wait for the browser");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(doing)?;
    listener.set_nonblocking(true).map_err(doing)?;
    let port = listener.local_addr().map_err(doing)?.port();
    // Only the page that was opened here knows it.
    let state: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
    let mut url = base.clone();
    url.query_pairs_mut()
        .append_pair("port", &port.to_string())
        .append_pair("redirect", "true")
        .append_pair("state", &state)
        .append_pair("type", "cli");
    ctx.ui.notice(format!("Opening {url}\nWaiting for the browser …"));
    if !open(&url) {
        ctx.ui
            .warn("no browser could be opened; open the address by hand, or use --headless");
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Some(token) = answer(stream, &state) {
                    return token_input::check(&token, "the browser");
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(doing(error)),
        }
    }
    Err(Error::new(Code::Timeout, "nobody logged in within 5 minutes").hint("try again, perhaps with --headless"))
}

/// Answers one request; the token, if it brought one with the right state.
fn answer(stream: TcpStream, state: &str) -> Option<String> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut line = String::new();
    BufReader::new((&stream).take(LONGEST)).read_line(&mut line).ok()?;
    let token = token_in(&line, state);
    let (status, text) = match token {
        Some(_) => ("200 OK", DONE),
        None => ("400 Bad Request", "This is not what torso waits for."),
    };
    let _ = write!(
        &stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    token
}

/// The token in `GET /?jwt=…&state=… HTTP/1.1`.
fn token_in(line: &str, state: &str) -> Option<String> {
    let path = line.strip_prefix("GET ")?.split(' ').next()?;
    let url = Url::parse("http://localhost/").ok()?.join(path).ok()?;
    let value = |key: &str| {
        url.query_pairs()
            .find(|(found, _)| found == key)
            .map(|(_, value)| value.into_owned())
    };
    if value("state").as_deref() != Some(state) {
        return None;
    }
    value("jwt").filter(|token| !token.is_empty())
}

/// Whether some program opened the address.
fn open(url: &Url) -> bool {
    ["xdg-open", "open", "x-www-browser", "www-browser", "wslview"]
        .into_iter()
        .any(|program| {
            Command::new(program)
                .arg(url.as_str())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_callback_takes_a_token_with_the_right_state_only() {
        let token = |line: &str| token_in(line, "abc");
        assert_eq!(
            token("GET /?jwt=a.b.c&state=abc HTTP/1.1\r\n").as_deref(),
            Some("a.b.c")
        );
        for line in [
            "GET /?jwt=a.b.c&state=xyz HTTP/1.1\r\n",
            "GET /?jwt=a.b.c HTTP/1.1\r\n",
            "GET /?state=abc HTTP/1.1\r\n",
            "GET /?jwt=&state=abc HTTP/1.1\r\n",
            "POST /?jwt=a.b.c&state=abc HTTP/1.1\r\n",
            "",
        ] {
            assert_eq!(token(line), None, "{line}");
        }
    }

    #[test]
    fn login_page_to_open_by_hand_asks_for_no_redirect() {
        assert_eq!(
            headless(&Url::parse("https://api.example.com").unwrap()).as_str(),
            "https://api.example.com/?redirect=false"
        );
    }
}
