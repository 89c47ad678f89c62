//! `torso api`: any request to the server of the current context, for what has no command.

use super::DryRun;
use super::answers;
use crate::context::Context;
use crate::control::endpoints::Method;
use crate::error::{Code, Error, Result};
use serde_json::{Map, Value};
use std::io::Read as _;
use std::path::{Path, PathBuf};

crate::commands::schemas::document!("api" => serde_json::Value);

/// The longest body that is sent.
const LONGEST: u64 = 64 << 20;

/// Send any API request to the server
///
/// torso adds your token. In the path, {org} stands for the current organization. Fields become the query of a GET request,
/// and the JSON body of any other.
#[derive(clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = "Examples:
  torso api /v1/organizations
  torso api GET '/v1/organizations/{org}/databases' -f group=default
  torso api PATCH /v1/databases/app/configuration -F delete_protection=true
  torso api POST /v1/groups --input group.json"
)]
pub(super) struct Args {
    /// GET, POST, PUT, PATCH or DELETE
    #[arg(value_name = "METHOD", default_value = "GET")]
    method: String,
    /// Path on the server, such as /v1/databases
    #[arg(value_name = "PATH")]
    path: String,
    /// A text field; repeatable
    #[arg(long = "field", short = 'f', value_name = "KEY=TEXT", conflicts_with = "input")]
    text: Vec<String>,
    /// A JSON field, such as 5 or [1]; repeatable
    #[arg(long = "json-field", short = 'F', value_name = "KEY=JSON", conflicts_with = "input")]
    typed: Vec<String>,
    /// Read the body from a file; - is stdin
    #[arg(long, value_name = "PATH")]
    input: Option<PathBuf>,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let method = match args.method.to_ascii_uppercase().as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => {
            return Err(Error::new(Code::Usage, format!("{:?} is not a method", args.method))
                .hint("methods are GET, POST, PUT, PATCH and DELETE"));
        }
    };
    let mut path = path(&args.path)?;
    let fields = fields(args)?;
    let mut body = match &args.input {
        Some(from) => Some(input(from)?),
        None => None,
    };
    if !fields.is_empty() {
        if method == Method::Get {
            let pairs = fields.iter().map(|(key, value)| match value {
                Value::String(text) => (key.clone(), text.clone()),
                other => (key.clone(), other.to_string()),
            });
            let query: String = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .finish();
            path = format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' });
        } else {
            body = Some(Value::Object(fields));
        }
    }
    let server = ctx.server()?;
    if args.dry.dry_run {
        return answers::plan(ctx, vec![format!("{} {}{path}", method.name(), server.address())]);
    }
    let answer = server.request(method, &path, body)?;
    match serde_json::from_slice::<Value>(&answer) {
        Ok(document) if ctx.ui.format() == crate::ui::OutputFormat::Jsonl => ctx.ui.page(&format!("{document}\n")),
        Ok(document) => {
            let text = serde_json::to_string_pretty(&document)
                .map_err(|error| Error::new(Code::Internal, "cannot write the answer").caused_by(error))?;
            ctx.ui.page(&format!("{text}\n"))
        }
        Err(_) => {
            let text = String::from_utf8_lossy(&answer);
            ctx.ui.value(text.trim_end_matches('\n'))
        }
    }
}

/// A path on the server: never another server's address.
fn path(text: &str) -> Result<String> {
    let refuse = |why: &str| {
        Err(Error::new(Code::InvalidValue, format!("{text:?} is not a path: {why}"))
            .hint("write it like /v1/databases; the context says which server"))
    };
    if text.contains("://") {
        return refuse("it is a full URL");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse("it contains white space");
    }
    if text.split(['/', '?']).any(|part| part == "..") {
        return refuse("it must not contain \"..\"");
    }
    Ok(format!("/{}", text.trim_start_matches('/')))
}

fn fields(args: &Args) -> Result<Map<String, Value>> {
    let split = |field: &str| match field.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::new(Code::Usage, format!("{field:?} is not a field")).hint("write KEY=VALUE")),
    };
    let mut fields = Map::new();
    for field in &args.text {
        let (key, value) = split(field)?;
        fields.insert(key, Value::String(value));
    }
    for field in &args.typed {
        let (key, value) = split(field)?;
        let value = serde_json::from_str(&value).map_err(|error| {
            Error::new(Code::InvalidValue, format!("the value of field {key:?} is not JSON"))
                .caused_by(error)
                .hint("-f takes a text as it is")
        })?;
        fields.insert(key, value);
    }
    Ok(fields)
}

fn input(from: &Path) -> Result<Value> {
    let mut bytes = Vec::new();
    let doing = |error| Error::io(error, format!("cannot read {}", from.display()));
    if from == Path::new("-") {
        std::io::stdin().lock().take(LONGEST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(from).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
    }
    .map_err(doing)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(Code::InvalidFile, format!("{} is not a JSON document", from.display()))
            .caused_by(error)
            .hint("fields do without a file: -f KEY=TEXT, -F KEY=JSON")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_path_that_leads_elsewhere_is_refused() {
        assert_eq!(path("v1/x?y=1").unwrap(), "/v1/x?y=1");
        assert_eq!(path("//evil.example.com/v1").unwrap(), "/evil.example.com/v1");
        for text in ["https://evil.example.com/v1", "/v1/../x", "/v1 /x", "/v1\n"] {
            assert!(path(text).is_err(), "{text}");
        }
    }
}
