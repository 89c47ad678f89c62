//! What SQL may do in a hosted database. A text is parsed with the grammar of libSQL server (`libsql-sqlite3-parser`, the
//! parser that the server itself uses to classify and render statements before SQLite sees them), and everything that a
//! statement names is looked up: functions, tables, modules with their arguments, pragmas and expressions of indexes,
//! whatever their quoting. What is in none of the lists (`lists`) is refused; a table is one of the lists, or has a name that
//! users may give (`names`).
//!
//! # Interface
//!
//! - [`analyze`] reads a text: a [`TextSummary`] of what its statements do, or the [`Violation`] for which it is refused
//!   whoever asks. It knows nothing of tokens, and keeps what it found for the next time.
//! - [`check`] is `analyze`, held against who asks and where ([`Policy`]): the function for the gateway, and for whoever
//!   compares the policy with an engine.
//! - [`check_schema_object`] reads one row of `sqlite_schema` of a file that somebody sent.
//! - [`Violation::kind`] and its `Display` say what a client is told.
//!
//! # What it leaves to others
//!
//! How SQL is packed in requests is the gateway's to know. How long a statement runs and how much memory it takes cannot
//! be read from its text: processes are bounded for that. A text that no parser understands is [`ViolationKind::Syntax`];
//! [`Violation::is_harmless`] says whether the engine may be asked for its own words about it.

mod cache;
mod effect;
mod expression;
mod lexical;
mod lists;
mod names;
mod pragma;
mod schema;
mod shadow;
mod statement;
mod vector_index;
mod violation;
mod virtual_table;

pub use lexical::LONGEST_STATEMENT;
pub use lists::{
    ENGINE_REFUSES_PRAGMAS, FUNCTIONS, PRAGMAS, Pragma, PragmaValue, REFUSED_FUNCTIONS, REFUSED_MODULES,
    RESERVED_PREFIXES, SYSTEM_TABLES, TABLE_MODULES, VECTOR_INDEX_TABLE, VIRTUAL_TABLE_MODULES,
};
pub use schema::{VectorIndex, check_schema_object, check_vector_index_name, parse_vector_index};
pub use shadow::{VECTOR_SHADOW_COLUMN, VECTOR_SHADOW_SUFFIX};
pub use violation::{Violation, ViolationKind};

use crate::panics;
use fallible_iterator::FallibleIterator as _;
use libsql_sqlite3_parser::ast::{Cmd, Stmt};
use libsql_sqlite3_parser::lexer::sql::Parser;
use std::sync::Mutex;

/// What a database token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenAccess {
    ReadOnly,
    Full,
}

/// What kind of instance a label leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceKind {
    Primary,
    Replica,
}

/// What is asked for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextUse {
    /// It is run, and so may be passed on by a replica to its primary.
    Run,
    /// It is described, or stored for later: the process itself prepares it.
    Prepare,
}

/// Who asks, where, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    pub access: TokenAccess,
    pub instance: InstanceKind,
    pub usage: TextUse,
}

impl Policy {
    /// The widest policy: a full token at the primary.
    pub const FULL: Self = Self {
        access: TokenAccess::Full,
        instance: InstanceKind::Primary,
        usage: TextUse::Run,
    };

    /// Holds what statements do against who asks and where.
    ///
    /// # Errors
    ///
    /// A [`Violation`] where a token that may only read comes with what writes or keeps others from writing, a replica would have
    /// to prepare a change of the schema, or SQLite would prepare what libSQL server would refuse to run.
    pub fn check(self, summary: &TextSummary) -> Result<(), Violation> {
        if self.access == TokenAccess::ReadOnly && summary.writes {
            return Err(Violation::new(ViolationKind::Writes, ""));
        }
        if self.access == TokenAccess::ReadOnly && summary.blocks_writers {
            return Err(Violation::new(ViolationKind::BlocksWriters, ""));
        }
        let prepares = self.usage == TextUse::Prepare;
        if prepares && summary.engine_refuses {
            return Err(Violation::new(ViolationKind::Pragma, "of this name or with this value"));
        }
        let changes_schema = prepares && summary.changes_schema || summary.explains_schema_change;
        if self.instance == InstanceKind::Replica && changes_schema {
            return Err(Violation::new(ViolationKind::SchemaChangeAtReplica, ""));
        }
        Ok(())
    }
}

/// What the statements of a text do. A statement behind EXPLAIN counts as if it were run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextSummary {
    pub statements: usize,
    /// Of them, those that are SELECT or VALUES, and not behind EXPLAIN.
    pub queries: usize,
    /// A statement changes the database.
    pub writes: bool,
    /// A statement writes in another way than by DELETE or DROP.
    pub adds: bool,
    /// A statement changes the schema, or prepares to.
    pub changes_schema: bool,
    /// A statement that changes the schema stands behind EXPLAIN.
    pub explains_schema_change: bool,
    /// A statement only reads, but libSQL server runs it only with a token that may write: most pragmas.
    pub read_needs_full_access: bool,
    /// A statement begins a transaction in which nobody else can write.
    pub blocks_writers: bool,
    /// libSQL server refuses to run a statement, but SQLite would act on it as soon as it is prepared: a pragma.
    pub engine_refuses: bool,
}

impl TextSummary {
    /// Adds what another text does.
    pub fn merge(&mut self, other: &Self) {
        self.statements += other.statements;
        self.queries += other.queries;
        self.writes |= other.writes;
        self.adds |= other.adds;
        self.changes_schema |= other.changes_schema;
        self.explains_schema_change |= other.explains_schema_change;
        self.read_needs_full_access |= other.read_needs_full_access;
        self.blocks_writers |= other.blocks_writers;
        self.engine_refuses |= other.engine_refuses;
    }
}

/// Reads a text of SQL. The result does not depend on who asks.
///
/// # Errors
///
/// A [`Violation`] where the text uses what no hosted database may, cannot be read without doubt, is too long or nested
/// too deeply, or does not parse.
pub fn analyze(sql: &str) -> Result<TextSummary, Violation> {
    if let Some(result) = cache::get(sql) {
        return result;
    }
    let result = analyze_uncached(sql);
    cache::put(sql, &result);
    result
}

/// Reads a text of SQL for somebody.
///
/// # Errors
///
/// As [`analyze`], and where a token that may only read comes with a text that writes, or a replica would have to prepare
/// a change of the schema.
pub fn check(sql: &str, policy: Policy) -> Result<TextSummary, Violation> {
    let summary = analyze(sql)?;
    policy.check(&summary)?;
    Ok(summary)
}

fn analyze_uncached(sql: &str) -> Result<TextSummary, Violation> {
    let text = lexical::check(sql)?;
    if text.depth <= lexical::SHALLOW {
        return parse_and_judge(sql);
    }
    judge_on_large_stack(sql, text.depth)
}

/// Judges a text where there is stack enough for its depth: of the deepest ones one at a time.
fn judge_on_large_stack(sql: &str, depth: u32) -> Result<TextSummary, Violation> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = (depth > lexical::DEEP).then(|| crate::sync::lock(&ONE));
    let unreadable = || Violation::new(ViolationKind::Ambiguous, "it is too large to be read now; try again");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("deep-sql".to_owned())
            .stack_size(lexical::stack_for(depth))
            .spawn_scoped(scope, || parse_and_judge(sql))
            .map_err(|_| unreadable())?;
        thread.join().unwrap_or_else(|_| Err(unreadable()))
    })
}

/// Judges each statement as it is parsed: as the engine, which runs the first ones of a text before it sees the next.
fn parse_and_judge(sql: &str) -> Result<TextSummary, Violation> {
    // Its tables are large, and it is not for a caller's stack.
    let mut parser = Box::new(Parser::new(sql.as_bytes()));
    let mut summary = TextSummary::default();
    loop {
        // The parser is somebody else's: whatever it does not expect must not end the server.
        match panics::catch(|| parser.next()) {
            Ok(Ok(None)) => return Ok(summary),
            Ok(Ok(Some(command))) => judge_command(&command, &mut summary)?,
            Ok(Err(error)) => return Err(Violation::syntax(sql, &error.to_string())),
            // libSQL server would fare no better with it, so it is not passed on.
            Err(_) => return Err(Violation::new(ViolationKind::Syntax, "the statement cannot be parsed")),
        }
    }
}

fn judge_command(command: &Cmd, summary: &mut TextSummary) -> Result<(), Violation> {
    summary.statements += 1;
    let (statement, explained) = match command {
        Cmd::Stmt(statement) => (statement, false),
        Cmd::Explain(statement) | Cmd::ExplainQueryPlan(statement) => (statement, true),
    };
    summary.queries += usize::from(!explained && matches!(statement, Stmt::Select(_)));
    let effect = statement::judge(statement)?;
    summary.writes |= effect.writes;
    summary.adds |= effect.adds;
    summary.changes_schema |= effect.changes_schema;
    summary.explains_schema_change |= explained && effect.changes_schema;
    summary.read_needs_full_access |= effect.read_needs_full_access;
    summary.blocks_writers |= effect.blocks_writers;
    summary.engine_refuses |= effect.engine_refuses;
    match statement {
        // libSQL server looks less closely at what stands behind EXPLAIN.
        Stmt::Pragma(name, _) if explained && effect.engine_refuses => {
            Err(Violation::new(ViolationKind::Pragma, names::fold(&name.name.0)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
