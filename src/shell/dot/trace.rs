//! `.trace`: every statement that runs, as it runs. In a file the engine tells of them, also of those within triggers; on a
//! server this session tells what it sends.

use super::CommandCall;
use super::local::local;
use super::log::place;
use crate::shell::state::{Shell, ShellResult, TraceOutput};
use crate::shell::words::is_option;
use crate::sql::text::value_to_literal;
use crate::sql::{Args, Moment, Tracer, Value};
use crate::sqltext::token::{TokenKind, tokens};
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use std::sync::Arc;
use std::time::Duration;

/// The line that tells of a statement, or of how long it took.
fn line(sql: &str, took: Option<Duration>) -> String {
    let sql = sql.trim_end().trim_end_matches(';');
    match took {
        Some(took) => format!("{sql}; -- {} ns", took.as_nanos()),
        None => format!("{sql};"),
    }
}

/// The line that tells of an event in the engine.
fn event_line(event: &TraceEvent<'_>, expanded: bool) -> Option<String> {
    let (statement, text) = match event {
        TraceEvent::Stmt(statement, text) => (statement, (*text).to_owned()),
        TraceEvent::Profile(statement, _) | TraceEvent::Row(statement) => (statement, statement.sql().into_owned()),
        _ => return None,
    };
    // The start of a trigger is told in a comment.
    let sql = if expanded && !text.starts_with('-') {
        statement.expanded_sql().unwrap_or(text)
    } else {
        text
    };
    Some(match event {
        TraceEvent::Profile(_, took) => line(&sql, Some(*took)),
        _ => line(&sql, None),
    })
}

/// A statement with the values of its parameters in their places, written as the engine writes them.
fn expand(sql: &str, args: &Args) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut unnamed = 0;
    for (kind, name) in tokens(sql) {
        if kind != TokenKind::Parameter {
            text.push_str(name);
            continue;
        }
        let place: usize = match name.strip_prefix('?') {
            Some("") => unnamed + 1,
            Some(digits) => digits.parse().unwrap_or(0),
            None => 0,
        };
        unnamed = unnamed.max(place);
        let name = if name == "?" {
            format!("?{place}")
        } else {
            name.to_owned()
        };
        let value = place.checked_sub(1).and_then(|at| args.positional.get(at)).or_else(|| {
            let name = args.named.iter().find(|(key, _)| *key == name);
            name.map(|(_, value)| value)
        });
        text.push_str(&value_to_literal(value.unwrap_or(&Value::Null)));
    }
    text
}

/// What to do with the statements that a session sends to its server.
fn tracer(shell: &Shell<'_>, to: TraceOutput, events: TraceEventCodes) -> Tracer {
    let (side, expanded) = (shell.tracing.hook_output.clone(), shell.tracing.expanded);
    Arc::new(move |sent| {
        let (wanted, took) = match sent.what {
            Moment::Begun => (TraceEventCodes::SQLITE_TRACE_STMT, None),
            Moment::Row => (TraceEventCodes::SQLITE_TRACE_ROW, None),
            Moment::Ended(took) => (TraceEventCodes::SQLITE_TRACE_PROFILE, Some(took)),
        };
        if !events.contains(wanted) {
            return;
        }
        let text = if expanded {
            expand(sent.sql, sent.args)
        } else {
            sent.sql.to_owned()
        };
        to.write(&side, &line(&text, took));
    })
}

pub fn trace(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let is_local = shell.session()?.is_local();
    let mut events = TraceEventCodes::empty();
    for word in &call.args {
        if is_option(word, "expanded") {
            shell.tracing.expanded = true;
        } else if is_option(word, "plain") {
            shell.tracing.expanded = false;
        } else if is_option(word, "profile") {
            events |= TraceEventCodes::SQLITE_TRACE_PROFILE;
        } else if is_option(word, "row") {
            events |= TraceEventCodes::SQLITE_TRACE_ROW;
        } else if is_option(word, "stmt") {
            events |= TraceEventCodes::SQLITE_TRACE_STMT;
        } else if is_option(word, "close") {
            events |= TraceEventCodes::SQLITE_TRACE_CLOSE;
        } else if word.starts_with('-') {
            return shell.fail(format_args!("Unknown option \"{word}\" on \".trace\""));
        } else {
            if !matches!(word.as_str(), "off" | "stdout" | "stderr") {
                shell.check_safe_mode(format_args!("cannot run .trace with a file in safe mode"))?;
            }
            shell.tracing.statements = place(shell, word)?;
        }
    }
    if events.is_empty() {
        events = TraceEventCodes::SQLITE_TRACE_STMT;
    }
    if !is_local {
        let tracer = shell.tracing.statements.clone().map(|to| tracer(shell, to, events));
        shell.session()?.trace(tracer);
        return Ok(());
    }
    let (side, expanded, traced) = (
        shell.tracing.hook_output.clone(),
        shell.tracing.expanded,
        shell.tracing.statements.clone(),
    );
    let connection = local(shell, "trace")?;
    let set = match traced {
        Some(traced) => connection.trace_v2(
            events,
            Some(move |event: TraceEvent<'_>| {
                if let Some(line) = event_line(&event, expanded) {
                    traced.write(&side, &line);
                }
            }),
        ),
        None => connection.trace_v2(TraceEventCodes::empty(), None::<fn(TraceEvent<'_>)>),
    };
    match set {
        Ok(()) => Ok(()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_puts_values_in_the_places_of_parameters() {
        let args = Args {
            positional: Vec::new(),
            named: [
                (":a", Value::Text("it's".to_owned())),
                ("@b", Value::Blob(vec![1, 255])),
                ("$c", Value::Real(2.0)),
                ("?1", Value::Integer(7)),
                ("?3", Value::Integer(9)),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        };
        for (sql, expanded) in [
            ("select :a, @b, $c", "select 'it''s', x'01ff', 2.0"),
            ("select ?, ?3, ?, ':a' -- ?", "select 7, 9, NULL, ':a' -- ?"),
            ("select :nope, \"?\", [:a]", "select NULL, \"?\", [:a]"),
        ] {
            assert_eq!(expand(sql, &args), expanded, "{sql}");
        }
        assert_eq!(line("select 1; ", None), "select 1;");
    }
}
