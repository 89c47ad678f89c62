//! Names that mean harm, through every argument that takes a name: refused with a clear message, and not one file
//! anywhere for them. The arguments are found in the command-line tree itself, so a new one cannot be forgotten.

use crate::support::{World, in_parallel, tree};
use clap::{Arg, Command};
use regex::Regex;
use std::any::TypeId;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use torso::backup::BackupId;
use torso::control::names::{
    ContextName, DatabaseName, GroupName, LocationCode, OrganizationSlug, TokenName, Username,
};

/// Fewest names tried.
const ENOUGH: usize = 2_000;

/// What hostile names are made of.
const SEEDS: &[&str] = &[
    "..",
    ".",
    "/",
    "../x",
    "../../x",
    "../../../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a/../../b",
    "./a",
    "a/.",
    "..\\x",
    "\\\\host\\share",
    "C:\\x",
    "c:x",
    "con",
    "prn",
    "aux",
    "nul",
    "com1",
    "com9",
    "lpt1",
    "lpt9",
    "CON",
    "NUL.txt",
    "con.db",
    "a.db",
    "app.db-wal",
    ".hidden",
    "~",
    "~root",
    "$HOME",
    "${HOME}",
    "`id`",
    "$(id)",
    "; rm -rf x",
    "| cat",
    "&& x",
    "a b",
    " a",
    "a ",
    "\ta",
    "a\n",
    "a\r\nb",
    "\u{1b}[31mx",
    "\u{7f}",
    "\u{1}",
    "\u{8}\u{8}x",
    "'",
    "\"",
    "a'b",
    "a\"b",
    "' or 1=1 --",
    "x'); drop table databases; --",
    "%2e%2e%2f",
    "a%2fb",
    "a%00b",
    "%",
    "a?b",
    "a#b",
    "a&b=c",
    "a:b",
    "a@b",
    "a=b",
    "a,b",
    "a;b",
    "*",
    "?",
    "[a]",
    "{a,b}",
    "<a>",
    "é",
    "ü",
    "ß",
    "日本",
    "данные",
    "\u{202e}app",
    "app\u{200b}",
    "\u{feff}app",
    "ａｐｐ",
    "аpp",
    "app\u{301}",
    "🦀",
    "\u{10ffff}",
    "İ",
    "A",
    "App",
    "APP",
    "aPP",
    "-",
    "--",
    "-a",
    "a-",
    "--help",
    "--yes",
    "-rf",
    "--json",
    "_",
    "a_b",
    "a.b",
    "file:x",
    "file:///x",
    "http://x",
    "libsql://x",
    "sqlite_master.",
    ":memory:",
    "",
    "+",
    "\\",
    "catalog.db",
    "../data/catalog.db",
    "0x10.",
    "1e9.",
    "NaN",
    "None",
    "true.",
    "0;",
    "/dev/null",
    "/proc/self/mem",
    "a//b",
];

/// Whether the rule allows the text after all: written once more, independently of the product's own check.
fn is_allowed(text: &str) -> bool {
    static ALLOWED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\A[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\z").unwrap());
    static DEVICE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\A(con|prn|aux|nul|(com|lpt)[0-9])\z").unwrap());
    ALLOWED.is_match(text) && !DEVICE.is_match(text)
}

/// At least [`ENOUGH`] names, none of them allowed and none twice.
fn hostile_names() -> Vec<OsString> {
    let mut texts: BTreeSet<String> = SEEDS.iter().map(|&seed| seed.to_owned()).collect();
    assert!(
        !texts.iter().any(|text| is_allowed(text)),
        "an allowed name among the seeds"
    );
    texts.extend(["x".repeat(65), "x".repeat(300), "../".repeat(100), "é".repeat(150)]);
    texts.extend(
        (1..0x20)
            .chain(0x7f..0xa0)
            .map(|code| format!("a{}b", char::from_u32(code).unwrap())),
    );
    let mut random = fastrand::Rng::with_seed(7);
    while texts.len() < ENOUGH {
        let mut name = String::new();
        for _ in 0..random.usize(1..4) {
            match random.u8(0..4) {
                0 => name.push_str("app"),
                1 => name.push(random.char('!'..='/')),
                2 => name.push(random.char('\u{1}'..)),
                _ => name.push_str(SEEDS[random.usize(..SEEDS.len())]),
            }
        }
        if !is_allowed(&name) {
            texts.insert(name);
        }
    }
    let mut names: Vec<OsString> = texts.into_iter().map(OsString::from).collect();
    // Bytes that are no text at all.
    names.extend([vec![0xff], vec![b'a', 0xc3], vec![0xed, 0xa0, 0x80]].map(OsString::from_vec));
    names
}

/// A place for a name on the command line: words before it, words after it.
struct Slot {
    before: Vec<OsString>,
    /// For a flag, `--flag=`, which the name is joined to.
    joined: OsString,
    after: Vec<OsString>,
    /// Takes several names with commas between them.
    list: bool,
}

impl Slot {
    fn line(&self, name: &OsString) -> Vec<OsString> {
        let mut word = self.joined.clone();
        word.push(name);
        let before = self.before.iter().cloned();
        before.chain([word]).chain(self.after.iter().cloned()).collect()
    }

    fn describe(&self) -> String {
        format!("{:?} {:?} {:?}", self.before, self.joined, self.after)
    }
}

/// Whether an argument takes a name.
fn takes_a_name(arg: &Arg) -> bool {
    let id = arg.get_value_parser().type_id();
    [
        TypeId::of::<DatabaseName>(),
        TypeId::of::<GroupName>(),
        TypeId::of::<LocationCode>(),
        TypeId::of::<ContextName>(),
        TypeId::of::<OrganizationSlug>(),
        TypeId::of::<TokenName>(),
        TypeId::of::<Username>(),
    ]
    .iter()
    .any(|name| id == *name)
}

/// A value that an argument accepts, for those that are there only because they must be.
fn filler(arg: &Arg) -> OsString {
    let id = arg.get_value_parser().type_id();
    if id == TypeId::of::<LocationCode>() {
        "lhr".into()
    } else if id == TypeId::of::<GroupName>() {
        "default".into()
    } else if arg.get_id() == "role" {
        "viewer".into()
    } else if let Some(value) = arg.get_possible_values().first() {
        value.get_name().into()
    } else if id == TypeId::of::<BackupId>() {
        "20261130-031500-4f3a9c1b".into()
    } else if id == TypeId::of::<PathBuf>() {
        "given.csv".into()
    } else {
        "app".into()
    }
}

/// Every place for a name below a command.
fn slots(command: &Command, path: &[OsString], found: &mut Vec<Slot>) {
    for below in command.get_subcommands() {
        let mut path = path.to_vec();
        path.push(below.get_name().into());
        slots(below, &path, found);
    }
    for arg in command.get_arguments().filter(|arg| takes_a_name(arg)) {
        let positionals: Vec<_> = command.get_positionals().collect();
        // The name of a copy may be left out only where its context is given, that of a branch where git names it.
        // A promotion without a location has to be forced.
        let required = |other: &Arg| {
            other.is_required_set()
                || ["copy", "target"].iter().any(|id| other.get_id() == id)
                || (command.get_name() == "promote" && other.get_id() == "location")
        };
        let needed = |other: &&&Arg| required(other) && other.get_id() != arg.get_id();
        let list = arg.get_value_delimiter().is_some();
        let options = command.get_opts().filter(|other| needed(&other));
        let mut before = path.to_vec();
        for option in options {
            let mut word = OsString::from(format!("--{}=", option.get_long().unwrap()));
            word.push(filler(option));
            before.push(word);
        }
        // A token that opens one thing only must say what it may do there.
        if command.get_name() == "mint" {
            before.push("--full-access".into());
        }
        // Never a question, always a document.
        before.push("--json".into());
        if let Some(long) = arg.get_long() {
            let mut fillers = Vec::new();
            for other in positionals.iter().filter(needed) {
                if other.is_last_set() {
                    fillers.push("--".into());
                }
                fillers.push(filler(other));
            }
            found.push(Slot {
                before,
                joined: format!("--{long}=").into(),
                after: fillers,
                list,
            });
        } else {
            before.push("--".into());
            let (first, rest): (Vec<&Arg>, Vec<&Arg>) = positionals
                .iter()
                .partition(|other| other.get_index() < arg.get_index());
            before.extend(first.into_iter().map(filler));
            let after = rest.iter().filter(needed).map(|other| filler(other)).collect();
            found.push(Slot {
                before,
                joined: OsString::new(),
                after,
                list,
            });
        }
    }
}

fn all_slots() -> Vec<Slot> {
    let mut tree = torso::commands::command();
    tree.build();
    let mut found = Vec::new();
    slots(&tree, &[], &mut found);
    assert!(found.len() > 30, "only {} arguments take a name", found.len());
    found
}

/// The fillers are right: with a good name, every slot gets past the parser.
#[test]
fn names_that_are_good_are_taken_in_each_argument() {
    for slot in all_slots() {
        let words = std::iter::once("torso".into()).chain(slot.line(&"app".into()));
        let parsed = torso::commands::command().try_get_matches_from(words);
        assert!(parsed.is_ok(), "{}: {}", slot.describe(), parsed.unwrap_err());
    }
}

/// Each name through each argument, as far as the parser: it lets none pass, so no command ever sees one.
#[test]
fn names_that_are_hostile_pass_no_parser() {
    let names = hostile_names();
    assert!(names.len() >= ENOUGH);
    in_parallel(&all_slots(), |slot| {
        let mut tree = torso::commands::command();
        // With a comma it may be two good names.
        let fits = |name: &&OsString| !(slot.list && name.to_string_lossy().contains(','));
        for name in names.iter().filter(fits) {
            let words = std::iter::once("torso".into()).chain(slot.line(name));
            let parsed = tree.try_get_matches_from_mut(words);
            assert!(parsed.is_err(), "{} takes {name:?}", slot.describe());
        }
    });
}

/// Each name through the program itself, in every argument in turn: exit 2, a clear document, not one file.
#[test]
fn names_that_are_hostile_leave_no_file() {
    let world = World::new();
    world.ok(["db", "create", "app", "--location", "ams"]);
    world.write("given.csv", "a,b\n1,2\n");
    let before = tree::list(world.root());
    let slots = all_slots();
    let runs: Vec<_> = hostile_names()
        .into_iter()
        .enumerate()
        .map(|(turn, name)| slots[turn % slots.len()].line(&name))
        .collect();
    in_parallel(&runs, |line| {
        let run = world.torso(line);
        assert_eq!((run.code(), run.stdout.as_str()), (2, ""), "{}", run.report());
        let error = run.error();
        let code = error["code"].as_str().unwrap();
        assert!(["invalid_name", "usage"].contains(&code), "{}", run.report());
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty() && message.len() < 1_000, "{}", run.report());
    });
    assert_eq!(tree::list(world.root()), before);
}

/// Names also come from files and from variables: a project file, the settings.
#[test]
fn names_from_files_that_are_hostile_are_refused() {
    let mut world = World::new();
    world.ok(["db", "create", "app", "--location", "ams"]);
    let names: Vec<String> = hostile_names()
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect();
    let with_nul = ["a\0b".to_owned(), "\0".to_owned()];
    // A sample: each is a run of its own, and the parser behind is the one above.
    for name in names.iter().step_by(40).chain(&with_nul) {
        let quoted = serde_json::to_string(name).unwrap().replace('\u{7f}', "\\u007f");
        for (key, command) in [
            ("database", &["db", "show"][..]),
            ("location", &["db", "create", "other"]),
            ("group", &["db", "create", "other"]),
            ("context", &["db", "list"]),
        ] {
            let project = world.write(".torso.toml", format!("{key} = {quoted}\n"));
            let before = tree::list(world.root());
            let run = world.torso(command);
            assert!(
                [1, 2].contains(&run.code()) && run.stdout.is_empty(),
                "{key} = {quoted}\n{}",
                run.report()
            );
            assert!(run.stderr.contains(".torso.toml"), "{key} = {quoted}\n{}", run.report());
            assert_eq!(tree::list(world.root()), before);
            std::fs::remove_file(project).unwrap();
        }
        if !name.contains('\0') && !name.is_empty() {
            world.set("TORSO_CONTEXT", name);
            let run = world.torso(["db", "list"]);
            assert!(
                [1, 2, 3].contains(&run.code()) && run.stdout.is_empty(),
                "{}",
                run.report()
            );
            world.unset("TORSO_CONTEXT");
        }
    }
    assert_eq!(world.databases(), ["app"]);
}

/// A database that may be in another context is named by two names with a colon between them.
#[test]
fn names_with_a_context_are_parsed_as_two() {
    let world = World::new();
    world.ok(["db", "create", "app", "--location", "ams"]);
    let names: Vec<String> = hostile_names()
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect();
    let before = tree::list(world.root());
    let mut tree = torso::commands::command();
    for (turn, name) in names.iter().enumerate() {
        let fits = |text: &str| text.split_once(':').is_none_or(|(_, name)| !is_allowed(name));
        for text in [name.clone(), format!("local:{name}"), format!("{name}:app")] {
            // Words in front of the colon may be a context, behind it a database.
            if !fits(&text) && text.split_once(':').is_some_and(|(context, _)| is_allowed(context)) {
                continue;
            }
            for line in [
                ["db", "copy", "--json", "--", &text, "other"],
                ["db", "copy", "--json", "--", "app", &text],
            ] {
                let words = std::iter::once("torso").chain(line);
                assert!(tree.try_get_matches_from_mut(words).is_err(), "{line:?} is taken");
                if turn % 200 == 0 {
                    let run = world.torso(line);
                    assert_eq!((run.code(), run.stdout.as_str()), (2, ""), "{}", run.report());
                    let code = run.error()["code"].clone();
                    assert!(code == "invalid_name" || code == "usage", "{}", run.report());
                }
            }
        }
    }
    assert_eq!(tree::list(world.root()), before);
}
