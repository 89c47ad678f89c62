//! Texts of SQL from a grammar, by seed: every kind of statement that libSQL has, over the tables of [`SCHEMA`]. A tame text
//! uses harmless names and nothing odd, so that most are valid; a hostile one draws from names that reach further, in every
//! way to write them.

mod changes;
mod definitions;
mod expressions;
mod others;
mod queries;
pub mod words;

use fastrand::Rng;

/// What every text finds. `log` is written by a trigger; `vectors` has a vector index, `docs` is a full-text table.
pub const SCHEMA: &str = "
    create table t (a, b, c);
    insert into t values (1, 2, 3), (4, 'five', x'06');
    create table users (id integer primary key, name text not null default 'x', email text unique);
    insert into users values (1, 'ann', 'ann@example.com'), (2, 'bob', null);
    create table posts (id integer primary key, user_id integer references users (id), title text, body text);
    insert into posts values (1, 1, 'first', '{\"a\": [1, 2]}'), (2, 1, 'second', '[]');
    create table log (x);
    create table \"order\" (\"select\" integer, \"a b\" text);
    create view v as select a, b from t;
    create virtual table docs using fts5 (title, body);
    insert into docs values ('one', 'two three');
    create virtual table areas using rtree (id, x0, x1);
    create table vectors (id integer primary key, e f32_blob(3));
    insert into vectors values (1, vector32('[1,2,3]'));
    create index vectors_index on vectors (libsql_vector_idx(e));
    create index posts_user on posts (user_id);
    create trigger t_log after insert on t begin insert into log values (new.a); end;
";

/// Files in the folder that texts run in.
pub const CANARIES: &[&str] = &["canary.txt", "other.db"];

/// A table and its columns.
type Table = (&'static str, &'static [&'static str]);

const TABLES: &[Table] = &[
    ("t", &["a", "b", "c"]),
    ("users", &["id", "name", "email"]),
    ("posts", &["id", "user_id", "title", "body"]),
    ("log", &["x"]),
    ("order", &["select", "a b"]),
    ("vectors", &["id", "e"]),
];

/// What can only be read, or has rules of its own for writes.
const READ_TABLES: &[Table] = &[
    ("v", &["a", "b"]),
    ("docs", &["title", "body"]),
    ("areas", &["id", "x0", "x1"]),
    ("sqlite_schema", &["type", "name", "sql"]),
    ("sqlite_master", &["name", "tbl_name"]),
];

/// A text, and whether nothing in it is odd.
#[derive(Debug, Clone)]
pub struct Text {
    pub sql: String,
    pub tame: bool,
}

/// How a text is made.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Tame,
    Hostile,
}

/// Columns that can be named at a place, each as it is written there.
type Columns = Vec<String>;

struct Generator {
    rng: Rng,
    manner: Manner,
    tokens: Vec<String>,
    /// How much deeper expressions and queries may go.
    depth: u32,
    /// Whether the values of a row that a trigger fires for may be named.
    in_trigger: bool,
    /// Number of the next name that must be new.
    next: u32,
}

/// The text of a number: the same for the same seed and number.
pub fn text(seed: u64, number: u64) -> Text {
    // Neighbouring seeds must not give neighbouring states.
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03));
    let kind = rng.u32(0..100);
    if kind < 45 {
        let tokens = statement(&mut rng, Manner::Tame);
        let sql = join(&mut rng, &tokens, false);
        return Text { sql, tame: true };
    }
    let tokens = statement(&mut rng, Manner::Hostile);
    let sql = match kind {
        45..70 => join(&mut rng, &tokens, true),
        70..90 => {
            let other = statement(&mut rng, Manner::Hostile);
            let mutated = super::mutate::tokens(&mut rng, tokens, &other);
            join(&mut rng, &mutated, true)
        }
        _ => {
            let text = join(&mut rng, &tokens, true);
            super::mutate::bytes(&mut rng, &text)
        }
    };
    Text { sql, tame: false }
}

/// Tokens of a statement, now and then of several.
fn statement(rng: &mut Rng, manner: Manner) -> Vec<String> {
    let mut generator = Generator {
        rng: rng.fork(),
        manner,
        tokens: Vec::new(),
        depth: rng.u32(1..4),
        in_trigger: false,
        next: 0,
    };
    generator.top();
    while generator.chance(4) {
        generator.words(";");
        generator.top();
    }
    if generator.chance(15) {
        generator.words(";");
    }
    generator.tokens
}

/// Tokens as one text, with white space and comments between them.
fn join(rng: &mut Rng, tokens: &[String], odd: bool) -> String {
    const SPACES: &[&str] = &[
        "  ",
        "\n",
        "\t",
        "\r\n",
        "\x0c",
        " /* a comment */ ",
        " -- a comment\n",
        "/**/",
        "/* ' */",
        " --'\n",
        "/* ; */",
    ];
    const ODD: &[&str] = &[
        "", "\0", "\u{a0}", "\u{2028}", "\x0b", "/*", "--", "*/", "/* /* */", "\u{85}", "\u{200b}",
    ];
    let mut text = String::new();
    if odd && rng.u32(0..40) == 0 {
        text.push('\u{feff}');
    }
    for (at, token) in tokens.iter().enumerate() {
        if at > 0 {
            let tight =
                matches!(token.as_str(), "," | ")" | ";" | "(" | ".") || matches!(tokens[at - 1].as_str(), "(" | ".");
            match rng.u32(0..100) {
                _ if tight && rng.bool() => {}
                0..3 => text.push_str(SPACES[rng.usize(..SPACES.len())]),
                3 if odd && rng.u32(0..3) == 0 => text.push_str(ODD[rng.usize(..ODD.len())]),
                _ => text.push(' '),
            }
        }
        text.push_str(token);
    }
    text
}

impl Generator {
    /// Whether something with so many chances in a hundred happens.
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.rng.usize(..from.len())]
    }

    /// Whether a hostile text does something hostile here.
    fn hostile(&mut self, percent: u32) -> bool {
        self.manner == Manner::Hostile && self.chance(percent)
    }

    fn push(&mut self, token: impl Into<String>) {
        self.tokens.push(token.into());
    }

    /// Adds tokens that are written with spaces between them.
    fn words(&mut self, words: &str) {
        for word in words.split(' ') {
            let word = if self.hostile(3) {
                word.to_ascii_uppercase()
            } else {
                word.to_owned()
            };
            self.push(word);
        }
    }

    fn maybe(&mut self, percent: u32, words: &str) {
        if self.chance(percent) {
            self.words(words);
        }
    }

    /// Some of them, at least one, with commas between.
    fn list(&mut self, most: usize, mut item: impl FnMut(&mut Self, usize)) -> usize {
        let count = self.rng.usize(1..=most);
        for at in 0..count {
            if at > 0 {
                self.words(",");
            }
            item(self, at);
        }
        count
    }

    /// Runs `inner` one level deeper; `otherwise` where that is deep enough.
    fn deeper(&mut self, inner: impl FnOnce(&mut Self), otherwise: impl FnOnce(&mut Self)) {
        if self.depth == 0 {
            return otherwise(self);
        }
        self.depth -= 1;
        inner(self);
        self.depth += 1;
    }

    fn top(&mut self) {
        if self.chance(4) {
            self.words("explain");
            self.maybe(50, "query plan");
        }
        match self.rng.u32(0..100) {
            0..42 => {
                let _ = self.select();
            }
            42..53 => self.insert(),
            53..60 => self.update(),
            60..65 => self.delete(),
            65..72 => self.create_table(),
            72..77 => self.create_index(),
            77..80 => self.create_view(),
            80..84 => self.create_trigger(),
            84..88 => self.create_virtual_table(),
            88..91 => self.alter(),
            91..93 => self.drop(),
            93..96 => self.pragma(),
            96..98 => self.transaction(),
            _ => self.maintenance(),
        }
    }
}
