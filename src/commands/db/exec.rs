//! `torso db exec`: SQL on one database or many, with a line of results for each.

use super::executed::{BoundedRows, Executed, LARGEST, StatementResult};
use super::fleet::{self, FleetOptions, ItemFailure, Selection};
use super::input::Input;
use crate::commands::values::SqlParameter;
use crate::commands::{DryRun, answers, completers};
use crate::context::Context;
use crate::control::ControlPlane;
use crate::control::names::DatabaseName;
use crate::error::{Code, Error, Result};
use crate::sql::parsed_script::ParsedScript;
use crate::sql::restrict::restrict;
use crate::sql::transaction::{enforce_foreign_keys, run_in_transaction};
use crate::sql::{self, Session};
use crate::sqltext::classify::StatementKind;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

crate::commands::schemas::document!("db exec" => Vec<super::fleet::Item<'_, Executed>>);

/// Run SQL on one database, or on many
///
/// The last word is the SQL, and those before it are databases; with -f, every word is a database. Statements take effect one by
/// one; with --transaction all of them in a database do, or none. torso stops at the first database that fails, with those that
/// are being worked on.
///
/// The SQL stays within its database, on every control plane: no ATTACH, and no functions that read or write files. Values of
/// --param are text; write NAME:=5 for a number, and NAME:=null. Of a database, 1 MiB of rows is printed at most; a warning says
/// where there are more.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db exec app 'select count(*) from users' --json
  torso db exec --match 'tenant-*' -f fix.sql --transaction --canary 3
  torso db exec --group eu 'delete from log where day < :d' --param d=2026-01-01")]
pub(crate) struct Args {
    /// Names of databases [default: the project's], then the SQL
    #[arg(value_name = "NAME|SQL", add = completers::databases())]
    words: Vec<String>,
    /// Run this file; - is stdin
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Value of the parameter :NAME in the SQL (repeatable)
    #[arg(long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<SqlParameter>,
    /// Run all statements of a database in a transaction
    #[arg(long)]
    transaction: bool,
    #[command(flatten)]
    dry: DryRun,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    options: FleetOptions,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let (names, sql) = split_words(args)?;
    let work = ExecWork::new(args, sql)?;
    let fleet = args.selection.resolve(ctx, &names).map_err(|error| match sql {
        // The one word that is there was taken for the SQL.
        Some(word) if error.code() == Code::Usage && word.parse::<DatabaseName>().is_ok() => {
            Error::new(Code::Usage, format!("no SQL is given for database {word}")).hint(format!(
                "add it as the last word, or name a file: torso db exec {word} -f FILE"
            ))
        }
        _ => error,
    })?;
    if args.dry.dry_run {
        fleet.check_open(ctx, work.only_reads)?;
        let count = answers::counted(work.script.statements().len(), "statement");
        let step = |name: &DatabaseName| format!("run {count} on database {name}");
        return answers::plan(ctx, fleet.names.iter().map(step).collect());
    }
    fleet::run(ctx, fleet, &args.options, &work.hash(), &|plane, name| {
        work.run(plane, name).map_err(ItemFailure::from)
    })
}

/// The databases among the words, and the SQL; none where a file has it.
fn split_words(args: &Args) -> Result<(Vec<DatabaseName>, Option<&str>)> {
    let (names, sql) = match (&args.file, args.words.split_last()) {
        (Some(_), _) => (args.words.as_slice(), None),
        (None, Some((sql, names))) => (names, Some(sql.as_str())),
        (None, None) => {
            return Err(Error::new(Code::Usage, "no SQL is given")
                .hint("add it as the last word, or name a file: torso db exec NAME -f FILE"));
        }
    };
    let names = names.iter().map(|name| name.parse()).collect::<Result<Vec<_>>>();
    let names = names.map_err(|error| error.hint("put the SQL into quotes, as one last word"))?;
    Ok((names, sql))
}

/// What is run on each database.
struct ExecWork {
    script: ParsedScript,
    args: sql::Args,
    transaction: bool,
    /// No statement has parameters or returns rows, so all of them can travel together.
    is_batch: bool,
    /// It is one statement, which begins and ends no transaction.
    is_alone: bool,
    /// It cannot change anything.
    only_reads: bool,
}

impl ExecWork {
    fn new(args: &Args, sql: Option<&str>) -> Result<Self> {
        let script = match (sql, &args.file) {
            (Some(sql), _) => ParsedScript::parse("SQL", sql.to_owned())?,
            (None, Some(path)) => read_script(path)?,
            (None, None) => ParsedScript::parse("SQL", String::new())?,
        };
        if script.statements().is_empty() {
            return Err(
                Error::new(Code::InvalidValue, format!("{} holds no SQL", script.name()))
                    .hint("name the SQL as the last word, or a file that has some with -f"),
            );
        }
        check_parameters(&script, &args.parameters)?;
        let script = if args.transaction {
            script.without_own_transaction()?
        } else {
            script
        };
        let returns_rows = script.statements().iter().any(|statement| statement.may_return_rows);
        let only_reads = script
            .statements()
            .iter()
            .all(|statement| statement.kind == StatementKind::Read);
        let is_alone = match script.statements() {
            [only] => {
                let kinds = [StatementKind::Read, StatementKind::Write, StatementKind::Other];
                !args.transaction && kinds.contains(&only.kind)
            }
            _ => false,
        };
        let named = args.parameters.iter().flat_map(|parameter| {
            // Whatever prefix the SQL has.
            [":", "@", "$"].map(|prefix| (format!("{prefix}{}", parameter.name), parameter.value.clone()))
        });
        Ok(Self {
            is_batch: args.parameters.is_empty() && !returns_rows,
            args: sql::Args {
                positional: Vec::new(),
                named: named.collect(),
            },
            transaction: args.transaction,
            is_alone,
            only_reads,
            script,
        })
    }

    /// Whether one of the first statements may change something.
    fn changes_anything(&self, count: usize) -> bool {
        let mut first = self.script.statements().iter().take(count);
        first.any(|statement| statement.kind != StatementKind::Read)
    }

    /// A hash of it.
    fn hash(&self) -> String {
        let texts: Vec<_> = self
            .script
            .statements()
            .iter()
            .map(|found| self.script.text(found))
            .collect();
        fleet::hash(&format!(
            "exec\n{}\n{:?}\n{}",
            self.transaction,
            self.args.named,
            texts.join("\n")
        ))
    }

    fn run(&self, plane: &dyn ControlPlane, name: &DatabaseName) -> Result<Executed> {
        let (connection, target) = if self.only_reads {
            let connection = plane.connection(name, None)?;
            let target = super::reach::reading(&connection)?;
            (connection, target)
        } else {
            let connection = plane.connection_to_write(name)?;
            let target = super::reach::target(&connection)?;
            (connection, target)
        };
        let mut session = sql::open(&target)?;
        if !self.only_reads {
            enforce_foreign_keys(session.as_mut())?;
        }
        let ran = self.run_in(session.as_mut());
        let executed = ran.map_err(|error| super::reach::explain_full(&connection, error))?;
        drop(session);
        if !self.only_reads {
            fleet::refresh_replicas(plane, &connection)?;
        }
        Ok(executed)
    }

    fn run_in(&self, session: &mut dyn Session) -> Result<Executed> {
        if !self.transaction {
            let mut lasting = false;
            let done = self
                .run_statements(session, &mut lasting)
                .map_err(|error| match lasting {
                    true => error
                        .hint("what the statements before it did stays done; with --transaction, all of it is undone"),
                    false => error,
                })?;
            if session.in_transaction() {
                return Err(Error::new(
                    Code::InvalidFile,
                    format!("{} ends within a transaction, which is undone", self.script.name()),
                )
                .hint("end it with COMMIT, or leave BEGIN out and add --transaction"));
            }
            return Ok(done);
        }
        run_in_transaction(session, &self.script, |session| {
            self.run_statements(session, &mut false)
        })
    }

    /// Sets `lasting` when a statement took effect that stays although a later one fails.
    fn run_statements(&self, session: &mut dyn Session, lasting: &mut bool) -> Result<Executed> {
        let restriction = restrict(session)?;
        let mut executed = Executed::default();
        if self.is_alone {
            session.end_with_next();
        } else if self.is_batch {
            let mut done = 0;
            let changes = self.script.run_all(session, restriction.as_ref(), &mut done);
            *lasting = !session.in_transaction() && self.changes_anything(done);
            executed.changes = changes?;
            return Ok(executed);
        }
        let mut room = LARGEST;
        for (done, statement) in self.script.statements().iter().enumerate() {
            *lasting |= !session.in_transaction() && self.changes_anything(done);
            let mut result = StatementResult::default();
            let mut sink = BoundedRows::new(&mut result, &mut room);
            let done = self
                .script
                .run_statement(session, restriction.as_ref(), statement, &self.args, &mut sink)?;
            executed.changes += done.changes;
            if !result.columns.is_empty() {
                executed.results.push(result);
            }
        }
        Ok(executed)
    }
}

/// A script in a file, or on standard input.
fn read_script(path: &Path) -> Result<ParsedScript> {
    let input = Input::open(path)?;
    let text =
        std::fs::read(input.path()).map_err(|error| Error::io(error, format!("cannot read {}", path.display())))?;
    let text = String::from_utf8(text)
        .map_err(|_| Error::new(Code::InvalidFile, format!("{} is not text in UTF-8", path.display())))?;
    let name = path.display().to_string();
    ParsedScript::parse(if name == "-" { "stdin" } else { &name }, text)
}

/// Refuses parameters without a value, and values without a parameter.
fn check_parameters(script: &ParsedScript, values: &[SqlParameter]) -> Result<()> {
    let mut names = HashSet::new();
    if let Some(twice) = values.iter().find(|value| !names.insert(&value.name)) {
        return Err(Error::new(
            Code::InvalidValue,
            format!("the parameter :{} has two values", twice.name),
        )
        .hint(format!("give --param {}=VALUE once", twice.name)));
    }
    let wanted = script.parameters();
    let without_prefix = |text: &str| text.get(1..).unwrap_or_default().to_owned();
    for text in &wanted {
        let name = without_prefix(text);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || text.starts_with(['?', '#']) {
            return Err(Error::new(
                Code::InvalidValue,
                format!("the parameter {text} of {} has no name", script.name()),
            )
            .hint("give it one, such as :name, and its value with --param name=VALUE"));
        }
        if !values.iter().any(|value| value.name == name) {
            return Err(Error::new(
                Code::InvalidValue,
                format!("the parameter {text} of {} has no value", script.name()),
            )
            .hint(format!("add --param {name}=VALUE")));
        }
    }
    match values
        .iter()
        .find(|value| !wanted.iter().any(|text| without_prefix(text) == value.name))
    {
        None => Ok(()),
        Some(value) => Err(Error::new(
            Code::InvalidValue,
            format!("{} has no parameter :{}", script.name(), value.name),
        )
        .hint("write the value's place into the SQL as :NAME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Target, Value};
    use serde_json::json;

    fn work(sql: &str, parameters: &[&str], transaction: bool) -> Result<ExecWork> {
        let args = Args {
            words: Vec::new(),
            file: None,
            parameters: parameters.iter().map(|text| text.parse().unwrap()).collect(),
            transaction,
            dry: DryRun::default(),
            selection: Selection::default(),
            options: FleetOptions::default(),
        };
        ExecWork::new(&args, Some(sql))
    }

    fn session() -> Box<dyn Session> {
        let mut session = sql::open(&Target::Memory).unwrap();
        sql::query::rows(session.as_mut(), "create table t(a unique)").unwrap();
        session
    }

    #[test]
    fn exec_returns_rows_and_changes_of_all_statements() {
        let mut session = session();
        let script =
            "insert into t values (:a), (@b); select a, x'00ff' as b, 9e999 as c, cast(x'ff41' as text) as d from t where a = $a;
             select 1 where 0";
        let work = work(script, &["a=007", "b:=9007199254740993"], false).unwrap();
        let executed = work.run_in(session.as_mut()).unwrap();
        assert_eq!(
            serde_json::to_value(&executed).unwrap(),
            json!({"changes": 2, "results": [
                {"columns": ["a", "b", "c", "d"],
                 "rows": [["007", {"base64": "AP8="}, {"real": "inf"}, {"text_base64": "/0E="}]]},
                {"columns": ["1"], "rows": []},
            ]})
        );
        let rows = sql::query::rows(session.as_mut(), "select a from t order by a").unwrap();
        assert_eq!(
            rows,
            [[Value::Integer(9_007_199_254_740_993)], [Value::Text("007".into())]]
        );
    }

    #[test]
    fn exec_in_a_transaction_is_whole_or_nothing() {
        let script = "insert into t values (1);\ninsert into t values (1);";
        for (transaction, rows) in [(false, 1), (true, 0)] {
            let mut session = session();
            let error = work(script, &[], transaction)
                .unwrap()
                .run_in(session.as_mut())
                .err()
                .unwrap();
            assert_eq!(error.message(), "SQL:2: UNIQUE constraint failed: t.a");
            assert_eq!(error.hint_text().is_some(), !transaction);
            assert_eq!(
                sql::query::number(session.as_mut(), "select count(*) from t").unwrap(),
                rows
            );
        }
        let left_open = work("begin; insert into t values (1)", &[], false).unwrap();
        let error = left_open.run_in(session().as_mut()).err().unwrap();
        assert!(error.message().contains("ends within a transaction"), "{error}");
    }

    #[test]
    fn exec_parameters_and_values_must_fit() {
        for (sql, values, message) in [
            ("select :a", &[][..], "the parameter :a of SQL has no value"),
            ("select 1", &["a=1"], "SQL has no parameter :a"),
            ("select ?", &["a=1"], "the parameter ? of SQL has no name"),
            ("select :a", &["a=1", "a=2"], "the parameter :a has two values"),
            ("-- nothing", &[], "SQL holds no SQL"),
        ] {
            let error = work(sql, values, false).err().unwrap();
            assert_eq!((error.code(), error.message()), (Code::InvalidValue, message));
        }
    }

    #[test]
    fn exec_answer_of_many_rows_is_cut_and_says_so() {
        let mut session = session();
        let script = "with recursive n(x) as (select 1 union all select x + 1 from n limit 100000) select x from n";
        let executed = work(script, &[], false).unwrap().run_in(session.as_mut()).unwrap();
        assert!(executed.results[0].truncated);
        assert!(executed.results[0].rows.len() < 40_000);
    }
}
