//! SQL as text: its tokens, where statements end, what they are, quoting, and what a hosted database may do. Everything
//! here works on text alone; nothing opens a database, a file or a connection.

pub mod classify;
pub mod dialect;
pub mod insert_values;
#[cfg(feature = "server")]
pub mod policy;
pub mod quote;
pub mod split;
pub mod token;

/// A query for the first sign of damage in a database: no row if its structure is sound. A vector index of libSQL keeps its
/// entries in a table of its own; SQLite misses them in the index's pages. The index of a full-text table may differ from the text
/// that it is of, where that is in another table; 'rebuild' makes it again. So with R-trees: what a virtual table keeps is its own.
/// Values that break a constraint are the user's: SQLite writes them where constraints are not checked, or were added later.
pub const FIND_DAMAGE: &str = "SELECT quick_check FROM pragma_quick_check WHERE quick_check <> 'ok' \
     AND quick_check NOT LIKE 'CHECK constraint failed in %' AND quick_check NOT LIKE '% value in %.%' \
     AND quick_check NOT LIKE '%inverted index for FTS% table %' AND quick_check NOT LIKE 'In RTree %' AND NOT EXISTS \
     (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND instr(lower(sql), 'libsql_vector_idx') > 0 \
      AND quick_check = 'wrong # of entries in index ' || name) LIMIT 1";
