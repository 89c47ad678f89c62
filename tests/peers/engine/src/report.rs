//! What the engine did with a text.

use serde::Serialize;

/// One call of the authorizer: action, its two arguments, the database, and the trigger or view it happened in. Calls of
/// stubs are events too, with the action `call`.
#[derive(Serialize, PartialEq, Eq, Clone, Debug)]
pub struct Event(pub &'static str, pub String, pub String, pub String, pub String);

/// A statement that the engine itself ran while it prepared or ran another one.
#[derive(Serialize, PartialEq, Eq, Clone, Debug)]
pub struct Nested {
    /// Whether that was before the outer statement's first step.
    pub at_prepare: bool,
    /// Whether it cannot write, as the engine says.
    pub readonly: bool,
    pub sql: String,
}

/// One statement of a text, as `sqlite3_prepare` split it.
#[derive(Serialize, Default, Debug)]
pub struct Statement {
    /// Where it begins and ends in the text, in bytes.
    pub begin: usize,
    pub end: usize,
    /// Why it was not prepared.
    pub prepare_error: Option<String>,
    /// Why it did not run to its end.
    pub step_error: Option<String>,
    /// `sqlite3_stmt_readonly`.
    pub readonly: bool,
    /// `sqlite3_stmt_isexplain`.
    pub explain: i32,
    /// Whether rows or the schema changed before the first step.
    pub changed_at_prepare: bool,
    pub events: Vec<Event>,
    pub nested: Vec<Nested>,
}

/// What a text did.
#[derive(Serialize, Default, Debug)]
pub struct Report {
    pub statements: Vec<Statement>,
    /// Bytes behind the last statement that the engine did not look at.
    pub rest: usize,
    /// What the objects that the text made touch when they are used.
    pub stored: Vec<Event>,
    /// Files of the folder that came, went or changed.
    pub files: Vec<String>,
    /// Whether a row held what is in the canaries.
    pub secret: bool,
}
