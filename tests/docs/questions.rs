//! The ordinary questions of newcomers, developers, operators and contributors are answered one click from README.

use super::pages;

/// A question, a word that somebody would search for it, the page with the answer, and words of the answer.
const QUESTIONS: &[(&str, &str, &str, &str)] = &[
    (
        "What is it, and why not",
        "litestream",
        "docs/comparison.md",
        "It is not for",
    ),
    (
        "install it without Rust",
        "binaries",
        "docs/install.md",
        "There are no released binaries",
    ),
    ("macOS, Windows or ARM", "macos", "docs/install.md", "use WSL 2"),
    (
        "Where are my files",
        "files",
        "docs/install.md",
        "databases and their catalog",
    ),
    ("uninstall", "uninstall", "docs/install.md", "cargo uninstall torso"),
    (
        "bring my SQLite file in",
        "import",
        "docs/databases.md",
        "torso db create old --from-file old.sqlite",
    ),
    ("encrypted", "encrypt", "docs/databases.md", "torso encrypts no files"),
    ("from Python", "python", "docs/connect-python.md", "sqlite3.connect("),
    ("Node.js or Drizzle", "drizzle", "docs/connect-node.md", "createClient("),
    (
        "Which URL and which token",
        "token",
        "docs/connect-node.md",
        "torso db tokens create app",
    ),
    ("run migrations", "migrat", "docs/databases.md", "torso db migrate app"),
    (
        "In CI",
        "github actions",
        "docs/scripting.md",
        "torso run --schema schema.sql -- npm test",
    ),
    (
        "database is locked",
        "locked",
        "docs/troubleshooting.md",
        "one program write at a time",
    ),
    (
        "back up a server",
        "every night",
        "docs/backup.md",
        "torso server --backup-to",
    ),
    ("How do I restore", "restore", "docs/backup.md", "torso db restore app"),
    (
        "disk is full",
        "disk full",
        "docs/troubleshooting.md",
        "Nothing was changed",
    ),
    (
        "Behind Caddy, nginx or Traefik",
        "caddy",
        "docs/proxy.md",
        "deploy/Caddyfile",
    ),
    (
        "A primary is lost",
        "primary is lost",
        "docs/lost-primary.md",
        "torso db promote app --force --dry-run",
    ),
    ("Which ports", "8080", "docs/server.md", "listens on `127.0.0.1:8080`"),
    (
        "lost the owner's token",
        "lost",
        "docs/troubleshooting.md",
        "--issue-token USER",
    ),
    (
        "As a service, or in Docker",
        "docker",
        "docs/server.md",
        "systemctl enable --now torso",
    ),
    (
        "upgrade torso or sqld",
        "downgrade",
        "docs/upgrade.md",
        "restore the backup from before",
    ),
    (
        "Which metrics",
        "prometheus",
        "docs/monitoring.md",
        "`torso_process_up`",
    ),
    (
        "move from Turso Cloud",
        "migrate",
        "docs/moving.md",
        "torso db copy cloud:{} prod:{}",
    ),
    (
        "add a dot-command",
        "dot-command",
        "CONTRIBUTING.md",
        "src/shell/dot/table.rs",
    ),
    ("run one test", "one test", "CONTRIBUTING.md", "cargo test"),
    (
        "report a bug or a vulnerability",
        "vulnerability",
        "SECURITY.md",
        "Report a vulnerability",
    ),
];

#[test]
fn docs_question_of_each_reader_is_answered_one_click_away() {
    let all = pages::all();
    let page = |name: &str| {
        let page = all.iter().find(|page| page.name() == name);
        page.unwrap_or_else(|| panic!("there is no {name}"))
    };
    for from in ["README.md", "docs/index.md"] {
        assert!(
            page(from).text.contains("questions.md)"),
            "{from} does not link to the questions"
        );
    }
    let mut failures = Vec::new();
    let answers = &page("docs/questions.md").text;
    for (question, word, target, answer) in QUESTIONS {
        let paragraph = answers.split("\n\n").find(|paragraph| {
            let asked = paragraph.strip_prefix("**").and_then(|rest| rest.split_once("**"));
            asked.is_some_and(|(asked, _)| asked.contains(question))
        });
        let link = target
            .strip_prefix("docs/")
            .map_or(format!("](../{target}"), |name| format!("]({name}"));
        if !paragraph.is_some_and(|paragraph| paragraph.contains(&link)) {
            failures.push(format!("{question}: docs/questions.md does not lead to {target}"));
        }
        let text = &page(target).text;
        if !text.to_lowercase().contains(word) {
            failures.push(format!("{question}: {target} is not found by the word {word:?}"));
        }
        if !text.split_whitespace().collect::<Vec<_>>().join(" ").contains(answer) {
            failures.push(format!("{question}: {target} does not say {answer:?}"));
        }
    }
    assert_eq!(QUESTIONS.len(), 27);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
