//! Why a text of SQL is refused, in the words for a client.

use super::lists;
use std::fmt;

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViolationKind {
    /// A function that is in no list.
    Function,
    /// A function that neither the lists nor the engine knows.
    UnknownFunction,
    /// A table of the engine's own, or one made by a module.
    Table,
    /// A module of virtual tables, or an argument of one.
    Module,
    Pragma,
    /// A vector index, its name, table or arguments.
    VectorIndex,
    /// What a vector index keeps in a table.
    VectorShadow,
    /// A statement as such: VACUUM INTO.
    Statement,
    /// Text that two readers could read in two ways.
    Ambiguous,
    TooLong,
    TooDeep,
    /// The text does not parse.
    Syntax,
    /// It writes, and the token may only read.
    Writes,
    /// It keeps others from writing, and the token may only read.
    BlocksWriters,
    /// It would have a replica prepare a change of the schema.
    SchemaChangeAtReplica,
}

/// A reason, with the name that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    kind: ViolationKind,
    subject: String,
    harmless: bool,
}

/// Characters of a name that an error repeats.
const SHOWN: usize = 64;

impl Violation {
    pub(super) fn new(kind: ViolationKind, subject: impl Into<String>) -> Self {
        let subject: String = subject.into();
        let subject = match subject.char_indices().nth(SHOWN) {
            Some((end, _)) if kind != ViolationKind::Syntax => format!("{}…", &subject[..end]),
            _ => subject,
        };
        Self {
            kind,
            subject,
            harmless: false,
        }
    }

    /// A text that does not parse.
    pub(super) fn syntax(sql: &str, error: &str) -> Self {
        Self {
            harmless: !mentions_refused(sql),
            ..Self::new(ViolationKind::Syntax, error)
        }
    }

    #[must_use]
    pub fn kind(&self) -> ViolationKind {
        self.kind
    }

    /// The name, or the parser's words.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether the engine may be asked for its own words: the text does not parse, which the engine finds with the same
    /// grammar, and it has no name in it that is refused, not even in a text or a comment.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        self.harmless
    }
}

/// Whether a text has a name anywhere that is refused, or that an engine acts on in other ways than by running a statement.
fn mentions_refused(sql: &str) -> bool {
    // As soon as it is prepared, or even read as far as to what does not parse; describing does not parse as running does.
    const ACTS: &[&str] = &[
        "libsql_", "sqlite_", "vacuum", "attach", "pragma", "create", "drop", "alter", "reindex",
    ];
    let lower = sql.to_ascii_lowercase();
    [lists::REFUSED_FUNCTIONS, lists::REFUSED_MODULES, ACTS]
        .into_iter()
        .flatten()
        .any(|name| memchr::memmem::find(lower.as_bytes(), name.as_bytes()).is_some())
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.subject;
        match self.kind {
            ViolationKind::Function => write!(f, "the function {name} cannot be used in a hosted database"),
            ViolationKind::UnknownFunction => write!(f, "no such function: {name}"),
            ViolationKind::Table => write!(f, "the table {name} cannot be used in a hosted database"),
            ViolationKind::Module => write!(f, "the module {name} cannot be used in a hosted database"),
            ViolationKind::Pragma => write!(f, "the pragma {name} cannot be used in a hosted database"),
            ViolationKind::VectorIndex => write!(
                f,
                "{name}: a vector index, its table and its column must have names of letters, digits and underscores, \
                 and its options must be plain texts"
            ),
            ViolationKind::VectorShadow => write!(
                f,
                "{name}: only the engine writes what vector indexes keep: the column data of tables whose names end in _shadow"
            ),
            ViolationKind::Statement => write!(f, "{name} cannot be used in a hosted database"),
            ViolationKind::Ambiguous => write!(f, "the statement cannot be read without doubt: {name}"),
            ViolationKind::TooLong => write!(
                f,
                "a statement of {name} bytes is too long: at most {}; use parameters",
                super::LONGEST_STATEMENT
            ),
            ViolationKind::TooDeep => write!(f, "{name}"),
            ViolationKind::Syntax => write!(f, "SQL string could not be parsed: {name}"),
            ViolationKind::Writes => f.write_str("the token is read-only, and this writes"),
            ViolationKind::BlocksWriters => f.write_str(
                "the token is read-only, and this transaction would keep others from writing: begin it with BEGIN or BEGIN READONLY",
            ),
            ViolationKind::SchemaChangeAtReplica => {
                f.write_str("a change of the schema can only be described, explained or stored at the database's own URL")
            }
        }
    }
}
