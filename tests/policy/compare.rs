//! Holds what the policy lets through against what the engine did with it.

use super::engine::{Engine, EngineStatement, Event, Report};
use super::grammar::words::{DANGEROUS_FUNCTIONS, DANGEROUS_TABLES};
use fallible_iterator::FallibleIterator as _;
use libsql_sqlite3_parser::ast::{Cmd, Stmt};
use libsql_sqlite3_parser::lexer::sql::Parser;
use std::collections::BTreeSet;
use torso::sqltext::policy::{InstanceKind, Policy, TextUse, TokenAccess, Violation, check};

/// Every kind of asker.
pub const POLICIES: [Policy; 8] = {
    let mut all = [Policy::FULL; 8];
    let mut at = 0;
    while at < all.len() {
        all[at] = Policy {
            access: if at & 1 == 0 {
                TokenAccess::Full
            } else {
                TokenAccess::ReadOnly
            },
            instance: if at & 2 == 0 {
                InstanceKind::Primary
            } else {
                InstanceKind::Replica
            },
            usage: if at & 4 == 0 { TextUse::Run } else { TextUse::Prepare },
        };
        at += 1;
    }
    all
};

/// Functions that the engine calls in statements of its own while it alters a table.
const ALTERING: &[&str] = &[
    "sqlite_rename_column",
    "sqlite_rename_table",
    "sqlite_rename_test",
    "sqlite_rename_quotefix",
    "sqlite_drop_column",
    "libsql_alter_column",
];

/// Pragmas that libSQL server runs with and without a value, by its `query_analysis.rs`.
const PRAGMAS: &[&str] = &[
    "table_list",
    "index_list",
    "table_info",
    "table_xinfo",
    "index_info",
    "index_xinfo",
    "pragma_list",
    "compile_options",
    "database_list",
    "function_list",
    "module_list",
    "encoding",
    "defer_foreign_keys",
    "foreign_keys",
    "foreign_key_list",
    "foreign_key_check",
    "collation_list",
    "data_version",
    "freelist_count",
    "integrity_check",
    "legacy_file_format",
    "page_count",
    "quick_check",
    "stats",
    "user_version",
];

/// Pragmas that it runs only without one.
const PRAGMAS_WITHOUT_VALUE: &[&str] = &[
    "schema_version",
    "analysis_limit",
    "application_id",
    "auto_vacuum",
    "automatic_index",
    "busy_timeout",
    "cache_size",
    "cache_spill",
    "cell_size_check",
    "checkpoint_fullfsync",
    "fullfsync",
    "hard_heap_limit",
    "journal_mode",
    "journal_size_limit",
    "legacy_alter_table",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "page_size",
    "query_only",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "secure_delete",
    "soft_heap_limit",
    "synchronous",
    "temp_store",
    "threads",
    "trusted_schema",
    "wal_autocheckpoint",
];

/// Whether a text may call a function somewhere.
fn calls(sql: &str, function: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    let mut parts = lower.split(function);
    parts.next();
    parts.any(|behind| {
        behind
            .trim_start_matches(['"', '`', ']', '\''])
            .trim_start()
            .starts_with(['(', '/', '-'])
    })
}

fn runs_pragma(name: &str, has_value: bool) -> bool {
    PRAGMAS.contains(&name) || (!has_value && PRAGMAS_WITHOUT_VALUE.contains(&name))
}

/// What the engine has that strangers may reach: all but what is known to be dangerous.
pub struct Reach {
    functions: BTreeSet<String>,
    modules: BTreeSet<String>,
    /// Tables of pragmas that libSQL server does not run.
    pragma_tables: BTreeSet<String>,
}

/// Why a text that the policy lets through is not harmless.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Danger(pub String);

impl Reach {
    pub fn new(engine: &Engine) -> Self {
        let all_but = |kind: &str, dangerous: &[&str]| {
            let names = engine.vocabulary[kind].iter();
            names
                .filter(|name| !dangerous.contains(&name.as_str()))
                .cloned()
                .collect()
        };
        Self {
            functions: all_but("function", DANGEROUS_FUNCTIONS),
            modules: all_but("module", DANGEROUS_TABLES),
            pragma_tables: engine.vocabulary["pragma"]
                .iter()
                .filter(|name| !runs_pragma(name, false))
                .map(|name| format!("pragma_{name}"))
                .collect(),
        }
    }

    /// What of an event is out of reach for everybody.
    fn danger(&self, event: &Event, sql: &str, alters: bool) -> Option<String> {
        let Event(action, first, second, _, _) = event;
        let (first, second) = (first.to_lowercase(), second.to_lowercase());
        match action.as_str() {
            "call" => Some(format!("calls {second}")),
            "function" => {
                // The engine's wrapping of its files calls this one before some pragmas.
                let own = second == "sqlite3mc_config_table" && !calls(sql, &second);
                let altering = alters && ALTERING.contains(&second.as_str());
                (!own && !altering && !self.functions.contains(&second)).then(|| format!("calls {second}"))
            }
            "attach" => Some(format!("attaches {first}")),
            "pragma" => (!runs_pragma(&first, !second.is_empty())).then(|| format!("pragma {first} {second}")),
            "create_vtable" => (!self.modules.contains(&second)).then(|| format!("makes a table by {second}")),
            "read" | "insert" | "update" | "delete" => {
                let is_dangerous = DANGEROUS_TABLES.contains(&first.as_str()) || self.pragma_tables.contains(&first);
                is_dangerous.then(|| format!("{action} {first}"))
            }
            "unknown" => Some("an unknown event".to_owned()),
            _ => None,
        }
    }

    /// Everything that a text does which somebody must not do; `refused` where libSQL server does not run it.
    pub fn dangers(&self, report: &Report, sql: &str, refused: bool, policy: Policy) -> BTreeSet<Danger> {
        let mut found = BTreeSet::<String>::new();
        if policy.usage == TextUse::Run && refused {
            return BTreeSet::new();
        }
        if report.crashed {
            found.insert("ends the process".to_owned());
        }
        if policy.usage == TextUse::Run {
            found.extend(report.secret.then(|| "reads another's file".to_owned()));
            found.extend(report.files.iter().map(|file| format!("touches the file {file}")));
        }
        let alters = report
            .events()
            .any(|event| event.0 == "alter_table" || event.0.starts_with("drop_"));
        found.extend(report.stored.iter().filter_map(|event| self.danger(event, sql, alters)));
        for statement in &report.statements {
            // Files are attached when the statement runs.
            let runs = policy.usage == TextUse::Run && statement.explain == 0;
            let events = statement.events.iter().filter(|event| runs || event.0 != "attach");
            found.extend(events.filter_map(|event| self.danger(event, sql, alters)));
            if policy.access == TokenAccess::ReadOnly {
                found.extend(write(statement, policy.usage));
            }
            if policy.instance == InstanceKind::Replica
                && (policy.usage == TextUse::Prepare || statement.explain != 0)
                && statement.changed_at_prepare
            {
                found.insert("changes a replica while it is prepared".to_owned());
            }
        }
        found.into_iter().map(Danger).collect()
    }
}

/// What a statement writes; none where it only says what it would do.
fn write(statement: &EngineStatement, usage: TextUse) -> Option<String> {
    if statement.changed_at_prepare {
        return Some("changes the database while it is prepared".to_owned());
    }
    if statement.explain != 0 || statement.prepare_error.is_some() || usage == TextUse::Prepare {
        return None;
    }
    // Tables of pragmas run them; which ones, the events tell. The engine calls some a write although they only read.
    let is_pragma = |sql: &str| {
        sql.trim_start_matches("-- ")
            .to_ascii_lowercase()
            .starts_with("pragma ")
    };
    let nested = statement
        .nested
        .iter()
        .find(|nested| !nested.readonly && !is_pragma(&nested.sql));
    if let Some(nested) = nested {
        return Some(format!("writes by {}", nested.sql.chars().take(60).collect::<String>()));
    }
    // Modules prepare writes that they may never run; and a transaction by itself writes nothing.
    let does = |event: &&Event| {
        !matches!(
            event.0.as_str(),
            "transaction" | "savepoint" | "function" | "select" | "read" | "pragma"
        )
    };
    let event = statement.events.iter().find(does).filter(|_| !statement.readonly);
    event.map(|event| format!("{} {}", event.0, event.1))
}

/// A text as libSQL server reads it.
#[derive(Default)]
pub struct ServerText<'a> {
    /// The statements, each as the engine gets it; none where the server's parser refuses the text.
    pub statements: Option<Vec<&'a str>>,
    /// Whether the server runs nothing of the text: it does not parse, or a statement is of a kind that it does not know.
    pub refused: bool,
}

impl<'a> ServerText<'a> {
    pub fn read(sql: &'a str) -> Self {
        let mut parser = Box::new(Parser::new(sql.as_bytes()));
        let mut statements = Vec::new();
        let mut refused = false;
        loop {
            let begin = parser.offset();
            let next = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| parser.next()));
            match next {
                Ok(Ok(Some(command))) => {
                    statements.extend(sql.get(begin..parser.offset()));
                    refused |= is_unknown(&command);
                }
                Ok(Ok(None)) => {
                    return Self {
                        statements: Some(statements),
                        refused,
                    };
                }
                _ => {
                    return Self {
                        statements: None,
                        refused: true,
                    };
                }
            }
        }
    }
}

/// Whether a statement is of a kind that libSQL server does not run (by its `query_analysis.rs`).
fn is_unknown(command: &Cmd) -> bool {
    match command {
        Cmd::Explain(Stmt::Pragma(name, body)) | Cmd::Stmt(Stmt::Pragma(name, body)) => {
            !runs_pragma(&name.name.0.to_ascii_lowercase(), body.is_some())
        }
        // A name is one of its own databases, which it looks up and may refuse.
        Cmd::Stmt(Stmt::Vacuum(..) | Stmt::Analyze(_) | Stmt::Attach { .. }) => true,
        Cmd::Stmt(
            Stmt::CreateTable { temporary, .. }
            | Stmt::CreateView { temporary, .. }
            | Stmt::CreateTrigger { temporary, .. },
        ) => *temporary,
        Cmd::Stmt(_) | Cmd::Explain(_) | Cmd::ExplainQueryPlan(_) => false,
    }
}

/// What of how the engine splits a text differs from how libSQL server does.
pub fn split_difference(report: &Report, sql: &str, statements: &[&str]) -> Option<String> {
    let failed = report
        .statements
        .last()
        .is_some_and(|last| last.prepare_error.is_some());
    let prepared = report.statements.len();
    if prepared > statements.len() {
        return Some(format!(
            "the engine sees {prepared} statements, the server {}",
            statements.len()
        ));
    }
    if failed || report.crashed {
        // What the engine refuses it does not run; what is behind it neither.
        return None;
    }
    if prepared < statements.len() {
        return Some(format!(
            "the engine sees {prepared} statements, the server {}",
            statements.len()
        ));
    }
    let base = sql.as_ptr() as usize;
    let trim = |text: &str| {
        text.trim_end_matches(|c: char| c == ';' || c.is_ascii_whitespace())
            .len()
    };
    for (engine, server) in report.statements.iter().zip(statements) {
        let server_begin = server.as_ptr() as usize - base;
        let ends = (trim(sql.get(..engine.end)?), trim(&sql[..server_begin + server.len()]));
        if ends.0 != ends.1 {
            return Some(format!(
                "a statement ends at {} for the engine, at {} for the server",
                ends.0, ends.1
            ));
        }
    }
    None
}

/// Whether a text gets past the policy for each asker, or why not. What does not parse and mentions nothing that is refused
/// goes to the server for its own words.
pub fn verdicts(sql: &str) -> [Result<(), Violation>; POLICIES.len()] {
    POLICIES.map(|policy| match check(sql, policy) {
        Err(violation) if !violation.is_harmless() => Err(violation),
        _ => Ok(()),
    })
}
