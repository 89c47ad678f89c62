//! The walls of the design, held by reading the source: who may import whom, which dependency lives where, and what must
//! not be found in a finished product.

use crate::house::{import_graph, module_path, rust_files, within};
use crate::support::crate_root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each folder or file of `src`, and what it may name of the rest of the crate. `change_outcome`, `checksum`, `damage_check`, `error`,
/// `jwt`, `net`, `panics`, `private_files`, `secret`, `served_file`, `sqlite_header`, `sync`, `temporary_files` and `termination` are open
/// to all. A longer prefix wins over a shorter one.
pub const IMPORTS: &[(&str, &[&str])] = &[
    ("main", &["run"]),
    ("lib", &["commands", "context", "engine", "sql", "ui"]),
    (
        "commands",
        &[
            "backup",
            "commands",
            "context",
            "control",
            "declared",
            "fleet",
            "migrations",
            "shell",
            "sql",
            "sqltext",
            "ui",
            "settings",
        ],
    ),
    (
        "commands/run",
        &["commands", "context", "control", "ephemeral", "settings", "shell", "ui"],
    ),
    // It is about this machine, not about a control plane.
    ("commands/engine", &["commands", "context", "engine", "ui", "settings"]),
    (
        "commands/dev",
        &["commands", "context", "control", "server", "settings", "ui"],
    ),
    (
        "commands/node",
        &["commands", "context", "control", "server", "settings", "ui"],
    ),
    (
        "commands/server",
        &["backup", "commands", "context", "control", "server", "settings", "ui"],
    ),
    ("context", &["control", "ephemeral", "fleet", "settings", "ui", "sql"]),
    ("ephemeral", &["control", "settings"]),
    ("declared", &["control", "declared"]),
    ("fleet", &["control", "fleet"]),
    // It knows files and objects, not where databases come from.
    ("backup", &["backup"]),
    ("migrations", &["migrations", "sql", "sqltext"]),
    ("settings", &["control::names", "settings", "ui"]),
    ("ui", &["ui"]),
    ("control", &["control"]),
    // A file of torso's own.
    ("control/store", &["control", "engine"]),
    ("control/embedded", &["control", "engine"]),
    ("control/gateway_plane", &["control", "engine"]),
    ("control/hosted", &["backup", "control", "engine", "link"]),
    ("control/node", &["control", "engine", "link"]),
    ("engine", &["engine", "sqltext"]),
    ("server", &["control", "hrana", "server", "sqltext"]),
    ("sql", &["hrana", "sql", "sqltext"]),
    // Messages of a protocol, whoever speaks it.
    ("hrana", &["hrana"]),
    // It works on text alone.
    ("sqltext", &["sqltext"]),
    ("shell", &["shell", "sql", "sqltext", "ui"]),
    ("change_outcome", &[]),
    ("checksum", &[]),
    ("damage_check", &[]),
    ("error", &[]),
    // What the fuzz tests of all floors share.
    ("fuzz", &[]),
    ("jwt", &[]),
    // It carries, and knows nothing of what.
    ("link", &["link"]),
    ("net", &[]),
    ("panics", &[]),
    ("private_files", &[]),
    ("secret", &[]),
    ("served_file", &["served_file"]),
    ("sqlite_header", &[]),
    ("sync", &[]),
    ("temporary_files", &[]),
    ("termination", &[]),
];

/// Dependencies with few homes: prefixes of paths in `src` where each may be named.
const HOMES: &[(&str, &[&str])] = &[
    (
        "rusqlite",
        &[
            "control/store",
            "control/embedded/catalog",
            "control/hosted/store",
            "damage_check",
            "engine/file",
            // What its errors say.
            "error",
            "served_file",
            // Only its types of values.
            "hrana",
            "sql",
            "shell",
        ],
    ),
    ("comfy_table", &["ui", "shell/render"]),
    ("rustyline", &["shell/editor"]),
    ("indicatif", &["ui"]),
    ("pulldown_cmark", &["ui"]),
    ("textwrap", &["ui"]),
    ("toml_edit", &["declared", "settings"]),
    ("clap_complete", &["commands"]),
    ("clap_mangen", &["commands"]),
    // Three files await besides the server and the link: only a future can be given up at once, only on a connection of one's own is it
    // known who has the other end before anything is sent, and the library of object storage knows nothing else.
    (
        "tokio",
        &[
            "link",
            "server",
            "sql/hrana/transport",
            "engine/sqld/http",
            "backup/objects",
        ],
    ),
    ("object_store", &["backup/objects", "backup/s3"]),
    ("zstd", &["backup/content"]),
    ("chacha20poly1305", &["backup/cipher"]),
    ("reqwest", &["control/client", "sql/hrana/transport"]),
    ("axum", &["server"]),
    ("jsonwebtoken", &["jwt"]),
    ("libsql_sqlite3_parser", &["sqltext/policy"]),
];

/// What a finished product does not contain. Split, so that this file does not contain it either.
const FORBIDDEN: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("dbg", "!("),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("#[ig", "nore"),
    concat!("assert!(tr", "ue)"),
];

/// The path as a module: without `.rs` and `/mod`.
fn module(path: &Path) -> String {
    match module_path(path).join("/") {
        lib if lib.is_empty() => "lib".to_owned(),
        module => module,
    }
}

/// Whether a module's path is the prefix itself, below it, or a sibling file that carries on its name (`catalog_rows`).
fn is_under(module: &str, prefix: &str) -> bool {
    module
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '_']))
}

/// The lines that count: comments are free to speak of anything.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// What follows each `crate::` in a line, as a list of paths: `crate::{a, b::c}` names two.
fn crate_paths(line: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        // `$crate::` in a macro is the macro's own affair, and `torso_crate::` would be another word.
        if line[..at].ends_with(|c: char| c == '$' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            for item in list.split(|c: char| match c {
                '{' => {
                    depth += 1;
                    false
                }
                '}' => {
                    depth -= 1;
                    depth < 0
                }
                ',' => depth == 0,
                _ => false,
            }) {
                paths.push(item.trim().to_owned());
            }
        } else {
            paths.push(rest.to_owned());
        }
    }
    paths.retain(|path| !path.is_empty() && path.starts_with(|c: char| c.is_alphabetic()));
    paths
}

/// A `use` statement may span lines; this joins each with its continuation.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in code_lines(text) {
        if open {
            lines.last_mut().unwrap().1.push_str(line.trim());
        } else {
            lines.push((number, line.to_owned()));
        }
        let last = &lines.last().unwrap().1;
        let statement = last
            .trim_start()
            .trim_start_matches("pub ")
            .trim_start_matches("(crate) ");
        open = statement.starts_with("use ") && !last.contains(';');
    }
    lines
}

#[test]
fn modules_import_only_what_the_design_allows() {
    let mut broken = Vec::new();
    for (path, text) in rust_files("src") {
        let module = module(&path);
        let Some((_, allowed)) = IMPORTS
            .iter()
            .filter(|(prefix, _)| is_under(&module, prefix))
            .max_by_key(|(prefix, _)| prefix.len())
        else {
            broken.push(format!("src/{}: not in the table of this test", path.display()));
            continue;
        };
        for (number, line) in joined(&text) {
            for named in crate_paths(&line) {
                let fine = [
                    "change_outcome",
                    "checksum",
                    "damage_check",
                    "error",
                    "fuzz",
                    "jwt",
                    "net",
                    "panics",
                    "private_files",
                    "secret",
                    "served_file",
                    "sqlite_header",
                    "sync",
                    "temporary_files",
                    "termination",
                ]
                .iter()
                .chain(*allowed)
                .any(|prefix| {
                    named
                        .strip_prefix(prefix)
                        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
                });
                if !fine {
                    broken.push(format!(
                        "src/{}:{number}: {module} may not name crate::{named}",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn dependency_has_one_home() {
    let mut broken = Vec::new();
    // A unit test may look at a file with another's eyes.
    for (path, text) in rust_files("src")
        .into_iter()
        .filter(|(path, _)| !path.ends_with("tests.rs"))
    {
        let module = module(&path);
        for (dependency, homes) in HOMES {
            if homes.iter().any(|home| is_under(&module, home)) {
                continue;
            }
            for (number, line) in code_lines(&text) {
                if line.contains(&format!("{dependency}::")) || line.contains(&format!("use {dependency}")) {
                    broken.push(format!(
                        "src/{}:{number}: {dependency} lives in {homes:?}",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A file that is not finished is removed whatever ends the program, which `temporary_files` sees to.
#[test]
fn temporary_file_has_one_maker() {
    let mut broken = Vec::new();
    for (path, text) in rust_files("src") {
        if module(&path) == "temporary_files" {
            continue;
        }
        for (number, line) in code_lines(&text) {
            for name in ["NamedTempFile", ".tempfile_in(", ".tempfile()", "TempPath"] {
                if line.contains(name) {
                    broken.push(format!("src/{}:{number}: {name}", path.display()));
                }
            }
        }
    }
    assert!(
        broken.is_empty(),
        "use temporary_files::TemporaryFile: {}",
        broken.join("\n")
    );
}

#[test]
fn source_has_nothing_unfinished() {
    let mut broken = Vec::new();
    for folder in ["src", "tests"] {
        for (path, text) in rust_files(folder) {
            for (number, line) in text.lines().enumerate() {
                for word in FORBIDDEN {
                    if line.contains(word) {
                        broken.push(format!("{folder}/{}:{}: {word}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn source_file_says_what_it_is_for() {
    let silent: Vec<_> = ["src", "tests"]
        .into_iter()
        .flat_map(rust_files)
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "no //! at the top of {silent:?}");
}

/// `docs/design.md` lists each file with unsafe code and why; a lint denies the rest.
#[test]
fn unsafe_code_is_listed_in_the_design() {
    let design = std::fs::read_to_string(crate_root().join("docs/design.md")).unwrap();
    let (_, section) = design
        .split_once("\n## Unsafe code\n")
        .expect("docs/design.md has a section on unsafe code");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let listed: BTreeSet<PathBuf> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(file, _)| PathBuf::from(file))
        .collect();
    let used: BTreeSet<PathBuf> = rust_files("src")
        .into_iter()
        .filter(|(_, text)| text.contains("unsafe_code)"))
        .map(|(path, _)| path)
        .collect();
    assert!(!used.is_empty());
    assert_eq!(listed, used);
}

/// Earlier ones can lose a commit in WAL mode (the "WAL-reset" bug).
#[test]
fn sqlite_that_is_linked_is_new_enough() {
    assert!(
        rusqlite::version_number() >= 3_051_003,
        "SQLite {}",
        rusqlite::version()
    );
}

#[test]
fn imports_are_read_as_written() {
    assert_eq!(crate_paths("use crate::{error::Result, ui};"), ["error::Result", "ui"]);
    assert_eq!(crate_paths("use crate::sql::{A, B};"), ["sql::{A, B};"]);
    assert_eq!(
        crate_paths("    pub token: Option<crate::secret::Secret>,"),
        ["secret::Secret>,"]
    );
    assert!(crate_paths("pub(crate) fn f()").is_empty());
    let text = "use crate::{\n    a::{b, c},\n    d,\n};\nfn f() {}\n";
    assert_eq!(crate_paths(&joined(text)[0].1), ["a::{b, c}", "d"]);
}

/// The rooms of the shell, each of which may use only those before it.
const SHELL_ROOMS: [&str; 7] = ["render", "terminal", "editor", "state", "exec", "dot", "interactive"];

#[test]
fn shell_modules_import_only_those_before_them() {
    let place = |module: &str| {
        let room = module.split("::").nth(1)?;
        SHELL_ROOMS.iter().position(|name| *name == room)
    };
    let mut broken = Vec::new();
    for (module, others) in within(&import_graph(), "shell") {
        for other in others {
            if let (Some(here), Some(there)) = (place(&module), place(&other))
                && there > here
            {
                broken.push(format!("{module} uses {other}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
