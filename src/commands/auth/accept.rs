//! `torso auth accept`: becomes a user of a server by an invitation.

use super::{LoggedIn, server};
use crate::commands::DryRun;
use crate::commands::answers::{self, Done};
use crate::commands::committed::Committed;
use crate::context::Context;
use crate::control::names::Username;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::settings::contexts::ServerSettings;
use std::io::Read as _;
use url::Url;

/// The most that is read for a link.
const LONGEST: u64 = 64 << 10;

/// Accept an invitation: become a user of the current context's server
///
/// The server creates the user and an API token, which torso saves for the context. An invitation works once.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso context add team --url https://torso.example.com
  torso auth accept --username eve 'https://torso.example.com/signup?invite=…'
  torso auth accept --username eve --context team - < link.txt")]
pub(in crate::commands) struct Accept {
    /// Your invitation link; - reads it from standard input
    #[arg(value_name = "LINK")]
    link: String,
    /// Your user name on the server
    #[arg(long, short, value_name = "NAME")]
    username: Username,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, args: &Accept) -> Result<()> {
    let link = read(&args.link)?;
    let server = server(ctx).map_err(|error| match server_of(&link) {
        Some(url) => {
            let user = &args.username;
            error.hint(format!(
                "torso context add NAME --url {url} adds that server; then torso auth accept --context NAME --username {user} LINK"
            ))
        }
        None => error,
    })?;
    let Some(context) = server.context.clone() else {
        return Err(Error::new(
            Code::Conflict,
            "the environment names the server, so there is no context to save a token in",
        )
        .hint("add the server: torso context add NAME --url URL"));
    };
    if server.token.is_some() {
        return Err(Error::new(
            Code::Conflict,
            format!(
                "context {context} has a token already, so you are a user of {}",
                server.url
            ),
        )
        .hint(format!(
            "ask for torso org members add there, or add another context: torso context add NAME --url {}",
            server.url
        )));
    }
    let invitation = invitation(&link, &server.url)?;
    if args.dry.dry_run {
        let step = format!(
            "become user {} of {}, and save a token for context {context}",
            args.username, server.url
        );
        return answers::plan(ctx, vec![step]);
    }
    let (user, token) = ctx.client(server.clone()).accept_invite(&invitation, &args.username)?;
    // From here on the invitation is used up: what it gave must not be lost.
    let unkept = Committed::new(ctx, Some(token.clone()))
        .follow_up("the token was not saved; it is shown only now", |unkept| {
            ctx.settings.store_token(&context, Some(&token))?;
            *unkept = None;
            Ok(())
        })
        .into_result();
    let client = ctx.client(ServerSettings {
        token: Some(token),
        ..server.clone()
    });
    let mut sentence = format!(
        "Logged in to {} as {}, who is new there.",
        client.address(),
        user.username
    );
    if let Some(token) = &unkept {
        sentence.push_str(&format!(" Token: {}", token.expose()));
    }
    let logged_in = LoggedIn {
        url: server.url.to_string(),
        username: user.username.clone(),
        context,
        expires_at: None,
        token: unkept,
    };
    ctx.ui.show(&Done::new(logged_in, user.username, sentence))
}

/// The address of the server that an invitation's link leads to.
fn server_of(link: &str) -> Option<Url> {
    let (server, _) = link.trim().split_once("/signup?")?;
    Url::parse(server).ok()
}

fn read(link: &str) -> Result<String> {
    if link != "-" {
        return Ok(link.to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| Error::io(error, "cannot read the link from stdin"))?;
    Ok(text)
}

/// The text of an invitation, out of its link. A link of another server is not sent to this one.
fn invitation(text: &str, to: &Url) -> Result<Secret> {
    let text = text.trim();
    let refuse = |why: &str| {
        Error::new(Code::InvalidValue, format!("this is not an invitation: {why}"))
            .hint("pass the whole link in quotes, as torso org invites create printed it")
    };
    let code = match Url::parse(text) {
        Ok(link) if link.origin() != to.origin() => {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "the invitation is to {}, and the context's server is {to}",
                    link.origin().ascii_serialization()
                ),
            )
            .hint("add that server, and accept the invitation there: torso context add NAME --url URL"));
        }
        Ok(link) => link
            .query_pairs()
            .find(|(key, _)| key == "invite")
            .map(|(_, code)| code.into_owned())
            .ok_or_else(|| refuse("there is no invite= in it"))?,
        Err(_) => text.to_owned(),
    };
    if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse("it is empty or has white space in it"));
    }
    Ok(Secret::new(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invitation_is_read_from_a_code_or_a_link_of_this_server() {
        let here: Url = "http://127.0.0.1:8080/".parse().unwrap();
        for text in [
            "torso_invite_a",
            " http://127.0.0.1:8080/signup?x=1&invite=torso_invite_a\n",
        ] {
            assert_eq!(invitation(text, &here).unwrap().expose(), "torso_invite_a");
        }
        for (text, code) in [
            ("", Code::InvalidValue),
            ("two words", Code::InvalidValue),
            ("http://127.0.0.1:8080/signup", Code::InvalidValue),
            ("http://127.0.0.1:8080/signup?invite=", Code::InvalidValue),
            ("https://elsewhere.example/signup?invite=torso_invite_a", Code::Conflict),
        ] {
            let error = invitation(text, &here).unwrap_err();
            assert_eq!(error.code(), code, "{text}");
            assert!(!error.full_message().contains("torso_invite"), "{error}");
        }
    }
}
