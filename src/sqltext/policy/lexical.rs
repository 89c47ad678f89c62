//! What is looked at before a text is parsed: how long its statements are, how deeply they may be nested, and bytes that
//! two lexers could read in two ways.
//!
//! The parser keeps its own stack, but the tree that it makes is walked and dropped by recursion. So the depth of that
//! tree is bounded from above first, by counting tokens.

use super::{Violation, ViolationKind};
use crate::sqltext::split::longest_statement;
use crate::sqltext::token::{SqlToken, TokenKind, next_significant, next_token};

/// Bytes of the longest statement.
pub const LONGEST_STATEMENT: usize = 1 << 20;

/// A tree of this depth is walked on any stack.
pub(super) const SHALLOW: u32 = 400;

/// Depth of the deepest tree that is walked at all. SQLite takes expressions of at most 1,000, so what is refused for
/// this is refused there too; the bound counts tokens, of which an expression has several at each level.
const DEEPEST: u32 = 100_000;

/// Trees deeper than this are walked one at a time.
pub(super) const DEEP: u32 = 20_000;

/// Bytes of stack for a tree of a depth, with room for what a build without optimisation takes. Only what is used of it
/// becomes memory.
pub(super) fn stack_for(depth: u32) -> usize {
    (depth as usize + 1_000) * 2_600
}

/// Columns, constraints or common tables in a list: the parser compares each with each. SQLite takes 2,000 columns.
const LONGEST_LIST: u32 = 4_000;

/// How deep the tree of a text may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextDepth {
    /// At least the depth of the deepest tree.
    pub depth: u32,
}

/// Reads the tokens of a text.
pub(super) fn check(sql: &str) -> Result<TextDepth, Violation> {
    let ambiguous = |why: &str| Err(Violation::new(ViolationKind::Ambiguous, why));
    let bytes = sql.as_bytes();
    if bytes.len() > LONGEST_STATEMENT {
        let longest = longest_statement(sql);
        if longest > LONGEST_STATEMENT {
            return Err(Violation::new(ViolationKind::TooLong, longest.to_string()));
        }
    }
    if memchr::memchr(0, bytes).is_some() {
        return ambiguous("it has a NUL character");
    }
    let may_have_mark = memchr::memmem::find(bytes, b"\xef\xbb\xbf").is_some();
    let mut levels = Levels::default();
    let mut rest = bytes;
    while let Some((token, after)) = next_significant(rest) {
        if may_have_mark && has_mark(&token, &rest[..rest.len() - after.len()]) {
            return ambiguous("it has a byte order mark (U+FEFF) outside of a text");
        }
        // SQLite takes a parenthesis right behind a parameter, and two colons, for a part of its name, whatever is in it,
        // and so may read on where nobody else does. No statement has one there.
        if may_be_parameter(&token) {
            match after {
                [b'(', ..] => return ambiguous("a parameter with a parenthesis"),
                [b':', b':', ..] => return ambiguous("a parameter with colons"),
                _ => {}
            }
        }
        rest = after;
        levels.see(&token);
    }
    if may_have_mark && ends_with_mark(rest) {
        return ambiguous("it has a byte order mark (U+FEFF) outside of a text");
    }
    if levels.longest_list > LONGEST_LIST {
        return Err(Violation::new(
            ViolationKind::TooDeep,
            format!("the statement defines too many columns or common tables: at most {LONGEST_LIST}"),
        ));
    }
    let depth = levels.height();
    if depth > DEEPEST {
        return Err(Violation::new(
            ViolationKind::TooDeep,
            "Expression tree is too large (maximum depth 1000)",
        ));
    }
    Ok(TextDepth { depth })
}

/// Whether a token begins like a parameter or a number, however it goes on.
fn may_be_parameter(token: &SqlToken<'_>) -> bool {
    match token.kind {
        TokenKind::Parameter => true,
        TokenKind::Number => !token.text.ends_with(b"."),
        TokenKind::Illegal => matches!(token.text[0], b'?' | b'$' | b'@' | b':' | b'#' | b'.' | b'0'..=b'9'),
        _ => false,
    }
}

/// Whether there is a byte order mark before a token or in it, outside of quotes. `whole` ends with the token.
fn has_mark(token: &SqlToken<'_>, whole: &[u8]) -> bool {
    let quoted = token.quoted().map_or(0, <[u8]>::len);
    let outside = &whole[..whole.len() - quoted];
    memchr::memmem::find(outside, b"\xef\xbb\xbf").is_some()
}

/// Whether there is a byte order mark in the white space at the end of a text, where only blank tokens are left.
fn ends_with_mark(mut rest: &[u8]) -> bool {
    while let Some((token, after)) = next_token(rest) {
        if token.kind == TokenKind::Space && memchr::memmem::find(token.text, b"\xef\xbb\xbf").is_some() {
            return true;
        }
        rest = after;
    }
    false
}

/// Bounds the height of the tree that the parser makes of the tokens seen. Each token may add a level to what stands before
/// it; items between commas, statements between semicolons and the parts of a compound SELECT stand beside each other.
#[derive(Default)]
struct Levels {
    /// The levels around the innermost parentheses.
    outer: Vec<Level>,
    level: Level,
    deepest: u32,
    /// Items of lists whose items the parser compares: of a statement that defines columns, and of common tables.
    list: u32,
    longest_list: u32,
    creates: bool,
    inside: bool,
    after_as: bool,
}

/// What stands in the same parentheses.
#[derive(Default, Clone, Copy)]
struct Level {
    /// Height of the item that goes on.
    height: u32,
    /// Height of the highest item that has ended.
    highest: u32,
}

impl Level {
    fn end_item(&mut self) {
        self.highest = self.highest.max(self.height);
        self.height = 0;
    }
}

impl Levels {
    fn see(&mut self, token: &SqlToken<'_>) {
        let begins = !std::mem::replace(&mut self.inside, true);
        let after_as = std::mem::take(&mut self.after_as);
        match (token.kind, token.text) {
            (TokenKind::Symbol, b"(") => {
                if after_as {
                    self.count_item();
                }
                self.outer.push(std::mem::take(&mut self.level));
            }
            (TokenKind::Symbol, b")") => {
                self.level.end_item();
                let inner = self.level.highest;
                self.level = self.outer.pop().unwrap_or_default();
                self.level.height += inner + 1;
            }
            (TokenKind::Symbol, b",") => {
                if self.creates && self.outer.len() == 1 {
                    self.count_item();
                }
                self.level.end_item();
            }
            (TokenKind::Symbol, b";") => {
                self.level.end_item();
                if self.outer.is_empty() {
                    self.inside = false;
                    self.creates = false;
                    self.list = 0;
                }
            }
            (TokenKind::Word, _) => {
                if token.is_word("select") {
                    self.level.end_item();
                }
                self.creates |= begins && token.is_word("create");
                self.after_as = token.is_word("as") || token.is_word("materialized");
                self.level.height += 1;
            }
            _ => self.level.height += 1,
        }
        self.deepest = self.deepest.max(self.level.height);
    }

    /// The height when the text ends here: parentheses that are still open count as closed.
    fn height(&self) -> u32 {
        let open = self.outer.iter().rev().fold(self.level, |inner, outer| Level {
            height: outer.height + inner.height.max(inner.highest) + 1,
            highest: outer.highest,
        });
        self.deepest.max(open.height.max(open.highest))
    }

    fn count_item(&mut self) {
        self.list += 1;
        self.longest_list = self.longest_list.max(self.list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(sql: &str) -> u32 {
        check(sql).unwrap().depth
    }

    #[test]
    fn statement_depth_is_at_least_that_of_the_tree() {
        for nested in [
            format!("select {}1{}", "(".repeat(1_000), ")".repeat(1_000)),
            format!("select {}1{}", "(".repeat(1_000), "+1)".repeat(1_000)),
            format!("select {}1{}", "f(1, ".repeat(1_000), ")".repeat(1_000)),
            format!("select 1{}", "+1".repeat(1_000)),
            format!("select {}1", "not ".repeat(1_000)),
            format!("select {}", "case when 1 then 2 end + ".repeat(1_000)),
            format!("select {}", "(".repeat(1_000)),
            format!("select 1; select 1{}; select 1", "||1".repeat(1_000)),
            format!("{}1{}", "select (".repeat(1_000), ")".repeat(1_000)),
        ] {
            assert!(depth(&nested) >= 1_000, "{}", &nested[..40]);
        }
    }

    #[test]
    fn statement_with_long_lists_is_not_deep() {
        let rows = "(1, 'a', x'00', -3),".repeat(10_000);
        assert!(depth(&format!("insert into t (a, b, c, d) values {rows} (1, 2, 3, 4)")) < 40);
        assert!(depth(&format!("select 1 {}", "union all select 2 ".repeat(10_000))) < 20);
        assert!(depth(&"insert into t values (1);".repeat(10_000)) < 20);
    }

    #[test]
    fn statement_that_two_lexers_read_differently_is_ambiguous() {
        for sql in [
            "select 1\0",
            "\u{feff}select 1",
            "select\u{feff} 1",
            "select \u{feff}a",
            "select 'a' \u{feff}, 1",
            "select $a(1)",
            "select @a('), f(1) --'",
            "select $a::b",
            "select ?1(2)",
            "select 1 \u{feff}",
            "\u{feff}\n\u{b}",
        ] {
            let kind = check(sql).unwrap_err().kind();
            assert_eq!(kind, ViolationKind::Ambiguous, "{sql:?}");
        }
        for sql in [
            "select '\u{feff}'",
            "select \"\u{feff}\"",
            "select :a, (1), ?2",
            "select 'a:(' || :b",
        ] {
            assert!(check(sql).is_ok(), "{sql:?}");
        }
    }

    #[test]
    fn statement_beyond_the_longest_is_too_long() {
        let long = format!("select '{}'", "a".repeat(LONGEST_STATEMENT));
        assert_eq!(check(&long).unwrap_err().kind(), ViolationKind::TooLong);
        assert!(check(&"select 1;".repeat(200_000)).is_ok());
    }

    #[test]
    fn statement_lists_that_the_parser_compares_are_bounded() {
        let columns = (0..5_000).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
        let error = check(&format!("create table t ({columns})")).unwrap_err();
        assert_eq!(error.kind(), ViolationKind::TooDeep);
        let tables = (0..5_000)
            .map(|n| format!("t{n} as (select 1)"))
            .collect::<Vec<_>>()
            .join(", ");
        let error = check(&format!("with {tables} select 1")).unwrap_err();
        assert_eq!(error.kind(), ViolationKind::TooDeep);
        assert!(check(&format!("select {columns}")).is_ok());
    }
}
