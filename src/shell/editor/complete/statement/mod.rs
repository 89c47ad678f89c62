//! The statement around the cursor: its words by parentheses, and the tables that each query in it reads.

use crate::shell::editor::lex::{Lexeme, LexemeKind, lexemes};
use crate::shell::editor::schema::Schema;

/// A word or sign of the statement; the word being typed is not among them.
#[derive(Debug, Clone)]
pub struct Item<'t> {
    pub kind: LexemeKind,
    pub text: &'t str,
    /// The parentheses it stands in, as an index of groups; 0 is the statement itself. A `(` stands outside those it opens.
    pub group: usize,
    /// Where it begins in the whole text.
    start: usize,
}

impl Item<'_> {
    /// A keyword, whatever its case.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self.kind, LexemeKind::Keyword | LexemeKind::Name) && self.text.eq_ignore_ascii_case(keyword)
    }

    pub fn is_any(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    pub fn sign(&self, sign: &str) -> bool {
        self.kind == LexemeKind::Sign && self.text == sign
    }

    /// Whether it can name something.
    pub fn names(&self) -> bool {
        matches!(self.kind, LexemeKind::Name | LexemeKind::Quoted)
    }

    /// The name without its quotes.
    pub fn name(&self) -> String {
        unquote(self.text)
    }
}

/// A name without its quotes; an open quote is taken off as well.
pub fn unquote(name: &str) -> String {
    let Some(quote) = name.chars().next().filter(|c| matches!(c, '"' | '`' | '[')) else {
        return name.to_owned();
    };
    let close = if quote == '[' { ']' } else { quote };
    let body = &name[1..];
    let body = body.strip_suffix(close).unwrap_or(body);
    if quote == '[' {
        body.to_owned()
    } else {
        body.replace(&format!("{quote}{quote}"), &quote.to_string())
    }
}

/// A table that a query reads.
#[derive(Debug, Clone)]
pub struct QuerySource {
    /// What columns may be qualified with: the alias, else the name.
    pub alias: String,
    columns: Columns,
}

#[derive(Debug, Clone)]
enum Columns {
    /// Those of a table in the schema.
    Of(String),
    These(Vec<String>),
}

impl QuerySource {
    /// The source's columns.
    pub fn columns(&self, schema: &dyn Schema) -> Vec<String> {
        match &self.columns {
            Columns::Of(table) => schema.columns(table),
            Columns::These(columns) => columns.clone(),
        }
    }
}

/// The statement around the cursor.
#[derive(Debug)]
pub struct Statement<'t> {
    pub items: Vec<Item<'t>>,
    /// How many of the items stand before the cursor.
    pub before: usize,
    /// The groups around the cursor, from the statement itself to the innermost.
    pub around: Vec<usize>,
    /// Where the word being typed begins.
    pub word_start: usize,
    /// The kind of that word's token, or none where nothing is typed yet.
    pub word_kind: Option<LexemeKind>,
    /// The index of each group's `(`, by group; none for the statement itself.
    openers: Vec<Option<usize>>,
}

/// Keywords that begin the statement proper inside another.
const BODY: &[&str] = &["BEGIN"];

impl<'t> Statement<'t> {
    /// Reads the statement of `text` that holds the byte `at`.
    pub fn around(text: &'t str, at: usize) -> Self {
        let tokens: Vec<_> = lexemes(text).into_iter().filter(Lexeme::is_significant).collect();
        let semicolon = |token: &&Lexeme| token.kind == LexemeKind::Sign && token.text(text) == ";";
        let start = tokens
            .iter()
            .filter(semicolon)
            .rfind(|token| token.end <= at)
            .map_or(0, |token| token.end);
        let end = tokens
            .iter()
            .filter(semicolon)
            .find(|token| token.start >= at)
            .map_or(text.len(), |token| token.start);
        let mut tokens: Vec<_> = tokens
            .into_iter()
            .filter(|token| token.start >= start && token.end <= end)
            .collect();
        // A trigger's body is statements of its own.
        if let Some(body) = trigger_body(text, &tokens, at) {
            tokens.drain(..=body);
        }
        let word = tokens.iter().position(|token| {
            token.start < at
                && at <= token.end
                && matches!(token.kind, LexemeKind::Name | LexemeKind::Quoted | LexemeKind::Keyword | LexemeKind::Text | LexemeKind::Number | LexemeKind::Variable | LexemeKind::Stray)
                // A closed quote behind the cursor is finished.
                && (at < token.end || token.open || !matches!(token.kind, LexemeKind::Quoted | LexemeKind::Text))
        });
        let word = word.map(|index| tokens.remove(index));
        let mut items = Vec::with_capacity(tokens.len());
        let mut openers = vec![None];
        let mut stack = vec![0];
        let mut around = vec![0];
        let before = tokens.iter().filter(|token| token.end <= at).count();
        for (index, token) in tokens.iter().enumerate() {
            if index == before {
                around.clone_from(&stack);
            }
            let body = token.text(text);
            let (opens, closes) = (
                token.kind == LexemeKind::Sign && body == "(",
                token.kind == LexemeKind::Sign && body == ")",
            );
            if closes && stack.len() > 1 {
                stack.pop();
            }
            items.push(Item {
                kind: token.kind,
                text: body,
                group: stack[stack.len() - 1],
                start: token.start,
            });
            if opens {
                stack.push(openers.len());
                openers.push(Some(index));
            }
        }
        if before == tokens.len() {
            around = stack;
        }
        Self {
            items,
            before,
            around,
            word_start: word.map_or(at, |word| word.start),
            word_kind: word.map(|word| word.kind),
            openers,
        }
    }

    /// The innermost group around the cursor.
    pub fn group(&self) -> usize {
        self.around.last().copied().unwrap_or(0)
    }

    /// Items of a group before the cursor.
    pub fn here(&self, group: usize) -> Vec<&Item<'t>> {
        self.items[..self.before]
            .iter()
            .filter(|item| item.group == group)
            .collect()
    }

    /// Items of the group around `group` that stand before its `(`, nearest last.
    pub fn opener(&self, group: usize) -> Vec<&Item<'t>> {
        let Some(Some(open)) = self.openers.get(group) else {
            return Vec::new();
        };
        let outer = self.items[*open].group;
        self.items[..*open].iter().filter(|item| item.group == outer).collect()
    }

    /// Whether a group holds a query of its own.
    pub fn is_query(&self, group: usize) -> bool {
        group == 0
            || self
                .items
                .iter()
                .find(|item| item.group == group)
                .is_some_and(|item| item.is_any(&["SELECT", "WITH", "VALUES"]))
    }

    /// The tables that can be named at the cursor: those of the innermost query first, then those around it.
    pub fn sources(&self, schema: &dyn Schema) -> Vec<QuerySource> {
        let mut all = Vec::new();
        for group in self.around.iter().rev().filter(|group| self.is_query(**group)) {
            let items: Vec<&Item<'t>> = self.items.iter().filter(|item| item.group == *group).collect();
            all.extend(self.sources_of(part_at(&items, self.word_start), schema, 0));
        }
        all
    }

    /// The names that `WITH` gives to queries anywhere in the statement.
    pub fn common_tables(&self, schema: &dyn Schema) -> Vec<QuerySource> {
        self.common_tables_to(schema, 0)
    }

    fn common_tables_to(&self, schema: &dyn Schema, depth: usize) -> Vec<QuerySource> {
        let mut tables = Vec::new();
        if depth > 4 || !self.items.iter().any(|item| item.is("WITH")) {
            return tables;
        }
        // `name [(columns)] AS [NOT MATERIALIZED] (query)`
        for (index, item) in self.items.iter().enumerate() {
            if !item.is("AS") || index == 0 {
                continue;
            }
            let mut next = index + 1;
            while self
                .items
                .get(next)
                .is_some_and(|item| item.is_any(&["NOT", "MATERIALIZED"]))
            {
                next += 1;
            }
            let Some(query) = self.group_of(next) else { continue };
            let named = &self.items[index - 1];
            let (name, columns) = if named.sign(")") {
                let Some(list) = self.openers.iter().position(|open| {
                    open.is_some_and(|open| {
                        open < index && self.items[open].group == named.group && self.closes(open) == Some(index - 1)
                    })
                }) else {
                    continue;
                };
                let open = self.openers[list].unwrap_or_default();
                let Some(name) = open
                    .checked_sub(1)
                    .map(|before| &self.items[before])
                    .filter(|item| item.names())
                else {
                    continue;
                };
                let columns = self
                    .items
                    .iter()
                    .filter(|item| item.group == list && item.names())
                    .map(Item::name)
                    .collect();
                (name.name(), columns)
            } else if named.names() {
                (named.name(), self.outputs(query, schema, depth + 1))
            } else {
                continue;
            };
            tables.push(QuerySource {
                alias: name,
                columns: Columns::These(columns),
            });
        }
        tables
    }

    /// The group that the `(` at `index` opens.
    fn group_of(&self, index: usize) -> Option<usize> {
        self.openers.iter().position(|open| *open == Some(index))
    }

    /// The `)` that closes the `(` at `open`.
    fn closes(&self, open: usize) -> Option<usize> {
        let group = self.items[open].group;
        (open + 1..self.items.len()).find(|index| self.items[*index].group == group && self.items[*index].sign(")"))
    }

    /// The tables of one query, from its own items.
    fn sources_of(&self, items: &[&Item<'t>], schema: &dyn Schema, depth: usize) -> Vec<QuerySource> {
        let mut sources = Vec::new();
        if depth > 4 {
            return sources;
        }
        let mut in_from = false;
        let mut index = 0;
        while let Some(item) = items.get(index) {
            index += 1;
            let wanted = item.is_any(&["FROM", "JOIN", "INTO", "UPDATE"]) || (in_from && item.sign(","));
            // `INSERT OR REPLACE INTO`, `ON CONFLICT DO UPDATE SET`: no table follows.
            if item.is_any(&["FROM", "JOIN"]) {
                in_from = true;
            } else if item.is_any(&[
                "WHERE",
                "GROUP",
                "ORDER",
                "HAVING",
                "LIMIT",
                "SET",
                "VALUES",
                "SELECT",
                "UNION",
                "RETURNING",
            ]) {
                in_from = false;
            }
            if !wanted {
                continue;
            }
            while items
                .get(index)
                .is_some_and(|item| item.is_any(&["OR", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK"]))
            {
                index += 1;
            }
            sources.extend(self.source_at(items, &mut index, in_from, schema, depth));
        }
        sources
    }

    /// The table, table-valued function or subquery at `index`, which moves behind it and its alias.
    fn source_at(
        &self,
        items: &[&Item<'t>],
        index: &mut usize,
        in_from: bool,
        schema: &dyn Schema,
        depth: usize,
    ) -> Option<QuerySource> {
        let first = items.get(*index)?;
        let columns = if first.sign("(") {
            let open = self.items.iter().position(|item| item.start == first.start);
            let group = open.and_then(|open| self.group_of(open))?;
            *index += usize::from(items.get(*index + 1).is_some_and(|item| item.sign(")"))) + 1;
            Columns::These(self.outputs(group, schema, depth + 1))
        } else if first.names() {
            *index += 1;
            let mut table = first.name();
            if items.get(*index).is_some_and(|item| item.sign(".")) {
                // A schema; its table is perhaps what is being typed.
                let second = items.get(*index + 1).filter(|item| item.names())?;
                table = second.name();
                *index += 2;
            }
            // A table-valued function's arguments.
            if in_from && items.get(*index).is_some_and(|item| item.sign("(")) {
                *index += usize::from(items.get(*index + 1).is_some_and(|item| item.sign(")"))) + 1;
            }
            match self.common(&table, schema, depth) {
                Some(columns) => Columns::These(columns),
                None => Columns::Of(table),
            }
        } else {
            return None;
        };
        if items.get(*index).is_some_and(|item| item.is("AS")) {
            *index += 1;
        }
        let alias = match (
            items.get(*index).filter(|item| item.names() && !self.at_cursor(item)),
            &columns,
        ) {
            (Some(alias), _) => {
                *index += 1;
                alias.name()
            }
            (None, Columns::Of(table)) => table.clone(),
            (None, Columns::These(_)) => first.name(),
        };
        Some(QuerySource { alias, columns })
    }

    /// A name right after the cursor belongs to what is typed, not to the table before it.
    fn at_cursor(&self, item: &Item<'_>) -> bool {
        self.items.get(self.before).is_some_and(|next| next.start == item.start) && self.word_kind.is_some()
    }

    fn common(&self, table: &str, schema: &dyn Schema, depth: usize) -> Option<Vec<String>> {
        let tables = self.common_tables_to(schema, depth + 1);
        let found = tables
            .into_iter()
            .find(|source| source.alias.eq_ignore_ascii_case(table))?;
        Some(found.columns(schema))
    }

    /// The names of a query's result columns.
    fn outputs(&self, group: usize, schema: &dyn Schema, depth: usize) -> Vec<String> {
        let items: Vec<&Item<'t>> = self.items.iter().filter(|item| item.group == group).collect();
        let Some(select) = items.iter().position(|item| item.is("SELECT")) else {
            return Vec::new();
        };
        let rest = &items[select + 1..];
        let end = rest.iter().position(|item| {
            item.is_any(&[
                "FROM",
                "WHERE",
                "UNION",
                "ORDER",
                "LIMIT",
                "GROUP",
                "EXCEPT",
                "INTERSECT",
            ])
        });
        let mut names = Vec::new();
        for part in rest[..end.unwrap_or(rest.len())].split(|item| item.sign(",")) {
            match part {
                [.., star] if star.sign("*") => {
                    for source in self.sources_of(rest, schema, depth) {
                        names.extend(source.columns(schema));
                    }
                }
                [.., last] if last.names() => names.push(last.name()),
                _ => {}
            }
        }
        names
    }
}

/// The part of a compound query (`UNION` and its kin) around the cursor.
fn part_at<'i, 't>(items: &'i [&'i Item<'t>], at: usize) -> &'i [&'i Item<'t>] {
    let joins = |item: &&&Item<'t>| item.is_any(&["UNION", "INTERSECT", "EXCEPT"]);
    let start = items
        .iter()
        .rposition(|item| item.start < at && joins(&item))
        .map_or(0, |index| index + 1);
    let end = items
        .iter()
        .position(|item| item.start >= at && joins(&item))
        .unwrap_or(items.len());
    &items[start..end.max(start)]
}

/// The `BEGIN` of a trigger whose body holds the cursor.
fn trigger_body(text: &str, tokens: &[Lexeme], at: usize) -> Option<usize> {
    let word = |index: usize| tokens.get(index).map(|token| token.text(text)).unwrap_or_default();
    let trigger =
        word(0).eq_ignore_ascii_case("create") && (1..3).any(|index| word(index).eq_ignore_ascii_case("trigger"));
    if !trigger {
        return None;
    }
    tokens
        .iter()
        .position(|token| BODY.iter().any(|begin| token.text(text).eq_ignore_ascii_case(begin)))
        .filter(|index| tokens[*index].end < at)
}

#[cfg(test)]
mod tests;
