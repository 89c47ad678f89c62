//! What Tab offers: names and words that fit where the cursor is.
//!
//! `statement` reads the words around the cursor, `expect` says what kinds may stand there, and this file turns kinds into
//! candidates: names from the [`Schema`], quoted where they must be, keywords in the user's letter case. `dot` does the
//! same for dot-commands.

mod dot;
mod expect;

mod statement;
mod words;

use super::schema::Schema;
use crate::shell::command_spec::CommandSpec;
use crate::sqltext::quote::{identifier, is_keyword};
use expect::Expectation;
use statement::{QuerySource, Statement};

/// What a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Keyword,
    Table,
    Column,
    /// A table's name or alias that a column can follow.
    Alias,
    Function,
    Schema,
    Index,
    Trigger,
    Pragma,
    Collation,
    Command,
    /// An argument of a dot-command: an option, a mode.
    Argument,
    Database,
    Path,
}

/// One thing that could stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub what: What,
    display: String,
    /// What takes the place of the word being typed.
    pub text: String,
}

impl Candidate {
    fn new(what: What, display: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            what,
            display: display.into(),
            text: text.into(),
        }
    }

    /// A word that stands for itself.
    #[must_use]
    pub fn word(text: String) -> Self {
        Self {
            what: What::Keyword,
            display: text.clone(),
            text,
        }
    }
}

impl rustyline::completion::Candidate for Candidate {
    fn display(&self) -> &str {
        &self.display
    }

    fn replacement(&self) -> &str {
        &self.text
    }
}

/// Candidates, and where the word begins that they replace.
#[derive(Debug, Default)]
pub struct Completions {
    pub start: usize,
    pub candidates: Vec<Candidate>,
}

/// Tables whose columns are offered when a query does not say yet what it reads.
const UNNAMED: usize = 100;

/// What could stand at byte `at` of `text`, where there are these dot-commands.
#[must_use]
pub fn complete(text: &str, at: usize, commands: &[&'static CommandSpec], schema: &dyn Schema) -> Completions {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    if text[line..at].starts_with('.') && super::is_complete(&text[..line]) {
        let found = dot::complete(&text[line..at], commands, schema);
        return Completions {
            start: line + found.start,
            candidates: found.candidates,
        };
    }
    if in_comment(text, at) {
        return Completions::default();
    }
    let statement = Statement::around(text, at);
    let typed = &text[statement.word_start..at];
    let mut offers = Offers {
        statement: &statement,
        schema,
        typed,
        candidates: Vec::new(),
        sources: None,
    };
    for want in expect::expect(&statement) {
        offers.add(&want);
    }
    Completions {
        start: statement.word_start,
        candidates: offers.finish(),
    }
}

fn in_comment(text: &str, at: usize) -> bool {
    use super::lex::{LexemeKind, lexemes};
    lexemes(text).iter().any(|token| {
        let line = token.kind == LexemeKind::Comment && text[token.start..].starts_with("--");
        token.kind == LexemeKind::Comment
            && token.start < at
            && (at < token.end || token.open || (line && at == token.end && !text[..at].ends_with('\n')))
    })
}

struct Offers<'a> {
    statement: &'a Statement<'a>,
    schema: &'a dyn Schema,
    typed: &'a str,
    candidates: Vec<Candidate>,
    sources: Option<Vec<QuerySource>>,
}

impl Offers<'_> {
    fn add(&mut self, want: &Expectation) {
        let schema = self.schema;
        match want {
            // Names are what is looked for where nothing is typed yet; the words that may also begin a value are many.
            Expectation::Keywords(keywords)
                if *keywords == words::OPERANDS && self.typed.is_empty() && !self.candidates.is_empty() => {}
            Expectation::Keywords(keywords) => {
                for keyword in *keywords {
                    self.keyword(keyword);
                }
            }
            Expectation::Tables => {
                for table in self.statement.common_tables(schema) {
                    self.name(What::Table, &table.alias);
                }
                self.tables();
            }
            Expectation::Views => self.tables(),
            Expectation::ColumnsOf(table) => self.names(What::Column, schema.columns(table)),
            Expectation::Columns => self.columns(),
            Expectation::SharedColumns => {
                let mut seen = Vec::new();
                for source in self.sources().to_vec() {
                    for column in source.columns(schema) {
                        if seen.contains(&column) {
                            self.name(What::Column, &column);
                        }
                        seen.push(column);
                    }
                }
            }
            Expectation::Qualified(qualifier) => self.qualified(qualifier),
            Expectation::Functions => self.functions(schema.functions()),
            Expectation::TableFunctions if !self.typed.is_empty() => {
                let tables = ["generate_series", "json_each", "json_tree", "pragma_"];
                let known = schema.functions();
                let pragmas = schema.pragmas().into_iter().map(|pragma| format!("pragma_{pragma}"));
                let known = known
                    .into_iter()
                    .chain(pragmas)
                    .chain(tables[..3].iter().map(|name| (*name).to_owned()));
                // There are dozens, which would hide the tables whose names begin with the same two or three letters.
                let asks_for_pragmas = self.typed.len() >= "prag".len();
                let mut names: Vec<String> = known
                    .filter(|name| tables.iter().any(|table| name.starts_with(table)))
                    .filter(|name| asks_for_pragmas || !name.starts_with("pragma_"))
                    .collect();
                names.sort();
                names.dedup();
                self.functions(names);
            }
            Expectation::TableFunctions => {}
            Expectation::Schemas if self.typed.is_empty() => {}
            Expectation::Schemas => self.names(What::Schema, schema.schemas()),
            Expectation::Indexes => self.names(What::Index, schema.indexes()),
            Expectation::Triggers => self.names(What::Trigger, schema.triggers()),
            Expectation::Pragmas => self.names(What::Pragma, schema.pragmas()),
            Expectation::Collations => self.names(What::Collation, schema.collations()),
            Expectation::Types => {
                for name in words::TYPES {
                    self.keyword(name);
                }
            }
        }
    }

    /// SQLite's own tables are offered to those who ask for them.
    fn tables(&mut self) {
        let typed = self.typed.trim_start_matches(['"', '`', '[']).len();
        let own = |name: &String| typed == 0 && name.starts_with("sqlite_");
        let tables = self.schema.tables().into_iter().filter(|name| !own(name)).collect();
        self.names(What::Table, tables);
    }

    fn sources(&mut self) -> &[QuerySource] {
        self.sources.get_or_insert_with(|| self.statement.sources(self.schema))
    }

    fn columns(&mut self) {
        let sources = self.sources().to_vec();
        if sources.is_empty() && !self.typed.is_empty() {
            // Nothing says yet what is read: any column may be meant.
            for table in self.schema.tables().into_iter().take(UNNAMED) {
                self.names(What::Column, self.schema.columns(&table));
            }
            return;
        }
        for source in &sources {
            self.names(What::Column, source.columns(self.schema));
        }
        for source in &sources {
            self.name(What::Alias, &source.alias);
        }
    }

    fn qualified(&mut self, qualifier: &str) {
        let sources = self.sources().to_vec();
        let matching: Vec<_> = sources
            .iter()
            .filter(|source| source.alias.eq_ignore_ascii_case(qualifier))
            .collect();
        for source in &matching {
            self.names(What::Column, source.columns(self.schema));
        }
        if !matching.is_empty() {
            return;
        }
        if ["new", "old"].iter().any(|row| row.eq_ignore_ascii_case(qualifier)) {
            // In a trigger's body: the table it is on is not part of the body's statement.
            for table in self.schema.tables() {
                self.names(What::Column, self.schema.columns(&table));
            }
            return;
        }
        if self
            .schema
            .schemas()
            .iter()
            .any(|name| name.eq_ignore_ascii_case(qualifier))
        {
            self.names(What::Table, self.schema.tables());
            return;
        }
        self.names(What::Column, self.schema.columns(qualifier));
    }

    /// Functions are many: they are offered once a letter is typed.
    fn functions(&mut self, names: Vec<String>) {
        if self.typed.is_empty() {
            return;
        }
        for name in names {
            let name = if self.shouts() { name.to_uppercase() } else { name };
            if starts_with(&name, self.typed) {
                self.push(Candidate::new(What::Function, format!("{name}()"), format!("{name}(")));
            }
        }
    }

    fn keyword(&mut self, keyword: &str) {
        if starts_with(keyword, self.typed) {
            let word = if self.upper_keywords() {
                keyword.to_owned()
            } else {
                keyword.to_lowercase()
            };
            self.push(Candidate::new(What::Keyword, word.clone(), word));
        }
    }

    fn names(&mut self, what: What, names: Vec<String>) {
        for name in names {
            self.name(what, &name);
        }
    }

    fn name(&mut self, what: What, name: &str) {
        let (quote, typed) = match self.typed.chars().next().filter(|c| matches!(c, '"' | '`' | '[')) {
            Some(quote) => (Some(quote), &self.typed[1..]),
            None => (None, self.typed),
        };
        if starts_with(name, typed) {
            self.push(Candidate::new(what, name, quoted(name, quote)));
        }
    }

    fn push(&mut self, candidate: Candidate) {
        if !self.candidates.iter().any(|known| known.text == candidate.text) {
            self.candidates.push(candidate);
        }
    }

    /// Whether the letters typed are all capitals.
    fn shouts(&self) -> bool {
        self.typed.chars().any(char::is_uppercase) && !self.typed.chars().any(char::is_lowercase)
    }

    /// Keywords follow the letters typed, else the statement's other keywords.
    fn upper_keywords(&self) -> bool {
        use super::lex::LexemeKind;
        if self.typed.chars().any(char::is_alphabetic) {
            return self.shouts();
        }
        let last = self.statement.items[..self.statement.before]
            .iter()
            .rfind(|item| item.kind == LexemeKind::Keyword);
        last.is_some_and(|item| !item.text.chars().any(char::is_lowercase))
    }

    fn finish(mut self) -> Vec<Candidate> {
        // A keyword that can be nothing else is done; what follows is a new word.
        if let [only] = self.candidates.as_mut_slice()
            && only.what == What::Keyword
        {
            only.text.push(' ');
        }
        self.candidates
    }
}

fn starts_with(word: &str, typed: &str) -> bool {
    let mut word = word.chars().flat_map(char::to_lowercase);
    typed
        .chars()
        .flat_map(char::to_lowercase)
        .all(|c| word.next() == Some(c))
}

/// A name as SQL wants it, in the user's kind of quotes if any were typed.
fn quoted(name: &str, quote: Option<char>) -> String {
    match quote {
        Some('[') if !name.contains(']') => format!("[{name}]"),
        Some('`') => format!("`{}`", name.replace('`', "``")),
        None if is_plain(name) => name.to_owned(),
        _ => identifier(name),
    }
}

/// Whether a name can stand without quotes.
fn is_plain(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
        && !is_keyword(name.as_bytes())
}

#[cfg(test)]
mod tests;
