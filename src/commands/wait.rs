//! `torso wait`: until a database is as a script needs it, or time is up.

use super::{DryRun, completers};
use crate::context::Context;
use crate::control::ControlPlane;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::{Instance, InstanceState, Role};
use crate::error::{Code, Error, Result};
use clap::Subcommand;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

crate::commands::schemas::document!("wait db" => Waited);

/// How long to wait without --timeout.
const USUAL: Duration = Duration::from_secs(60);

/// The first pause between two looks, and the longest: it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Wait until something is as a script needs it
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Db(Args),
}

/// Wait until a database is ready, has a replica, or is gone
///
/// Exit code 7 when time is up: after 60 seconds, or after --timeout.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso wait db app --for ready
  torso wait db app --for replica=lhr --timeout 5m")]
pub(crate) struct Args {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    /// ready, replica=CODE or gone
    #[arg(long = "for", value_name = "CONDITION", default_value_t, add = completers::conditions())]
    condition: Condition,
    #[command(flatten)]
    dry: DryRun,
}

/// What is waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Condition {
    /// Its primary serves.
    #[default]
    Ready,
    /// Its instance there has all that the primary has.
    Replica(LocationCode),
    Gone,
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            None if text == "ready" => Ok(Self::Ready),
            None if text == "gone" => Ok(Self::Gone),
            Some(("replica", code)) => Ok(Self::Replica(code.parse()?)),
            _ => Err(
                Error::new(Code::InvalidValue, format!("{text:?} is nothing to wait for"))
                    .hint("write ready, gone, or replica=CODE, such as replica=lhr"),
            ),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Replica(code) => write!(f, "replica={code}"),
            Self::Gone => f.write_str("gone"),
        }
    }
}

impl Condition {
    /// None if it holds, else what is in the way.
    fn check(&self, plane: &dyn ControlPlane, name: &DatabaseName) -> Result<Option<String>> {
        let instances = match plane.list_instances(name) {
            Err(error) if error.code() == Code::DatabaseNotFound => {
                return Ok((*self != Self::Gone).then(|| "there is no such database".to_owned()));
            }
            instances => instances?,
        };
        Ok(match self {
            Self::Gone => Some("it is still there".to_owned()),
            Self::Ready => lacking(
                instances.iter().find(|instance| instance.role == Role::Primary),
                "its primary",
            ),
            Self::Replica(code) => lacking(
                instances.iter().find(|instance| instance.location == *code),
                &format!("its instance at {code}"),
            ),
        })
    }
}

fn lacking(instance: Option<&Instance>, noun: &str) -> Option<String> {
    match instance.map(|instance| instance.state) {
        Some(InstanceState::Ready) => None,
        Some(state) => Some(format!("{noun} is {}", state.name())),
        None => Some(format!("{noun} does not exist")),
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Waited {
    database: DatabaseName,
    condition: String,
    waited_ms: u64,
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    let Verb::Db(args) = verb;
    let (name, condition) = (ctx.database(args.name)?, args.condition);
    let plane = ctx.control()?;
    let limit = ctx.time_limit.unwrap_or(USUAL);
    if args.dry.dry_run {
        let limit = crate::ui::text::span(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let step = format!("wait until database {name} is {condition}, for at most {limit}");
        return super::answers::plan(ctx, vec![step]);
    }
    let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
    let mut last_obstacle = None;
    loop {
        let obstacle = match condition.check(plane, &name) {
            Ok(None) => break,
            Ok(Some(obstacle)) => obstacle,
            // The last question is cut off by the limit: it says less than the one before.
            Err(error) if error.code() == Code::Timeout => last_obstacle.unwrap_or_else(|| error.full_message()),
            // It may answer in a moment.
            Err(error) if error.kind().retryable() => error.full_message(),
            Err(error) => return Err(error),
        };
        let left = limit.saturating_sub(begun.elapsed());
        if left.is_zero() {
            let limit = crate::ui::text::span(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
            return Err(Error::new(
                Code::Timeout,
                format!("database {name} is not {condition} after {limit}: {obstacle}"),
            )
            .hint("wait longer with --timeout; torso doctor shows what is wrong"));
        }
        last_obstacle = Some(obstacle);
        std::thread::sleep(pause.min(left));
        pause = LONGEST_PAUSE.min(2 * pause);
    }
    let waited = Waited {
        condition: condition.to_string(),
        waited_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        database: name.clone(),
    };
    let sentence = match &condition {
        Condition::Replica(code) => format!("Database {name} has all its data at {code}."),
        condition => format!("Database {name} is {condition}."),
    };
    ctx.ui.show(&super::answers::Done::new(waited, name, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_conditions_are_three_and_no_other() {
        for text in ["ready", "gone", "replica=lhr"] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
        for text in ["", "Ready", "replica", "replica=", "replica=../x", "gone=lhr", "ready "] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }
}
