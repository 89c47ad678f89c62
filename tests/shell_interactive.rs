//! The shell with a person at it, driven through a pseudo-terminal key by key.

use crate::support::World;
use crate::support::sqld::Sqld;
use nix::sys::wait::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

const CTRL_A: &str = "\x01";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const ENTER: &str = "\r";
const TAB: &str = "\t";
const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";
const BACKSPACE: &str = "\x7f";

/// Results are looked for as they are drawn in a box, so that the echo of what was typed is never taken for one.
struct Person {
    session: PtySession,
}

impl Person {
    /// Opens the shell and waits for its prompt.
    fn at(world: &World, args: &[&str], prompt: &str) -> Self {
        let mut command = world.torso_command(["db", "shell"]);
        command.args(args).stdin(Stdio::inherit());
        // Twenty seconds: far more than anything here takes, even on a busy machine.
        let mut person = Self {
            session: spawn_command(command, Some(20_000)).unwrap(),
        };
        person.sees(prompt);
        person
    }

    fn types(&mut self, keys: &str) {
        self.session.send(keys).unwrap();
        self.session.flush().unwrap();
    }

    #[track_caller]
    fn sees(&mut self, text: &str) {
        // The reader takes each byte for a character.
        let bytes: String = text.bytes().map(char::from).collect();
        if let Err(error) = self.session.exp_string(&bytes) {
            panic!("did not see {text:?}: {error}");
        }
    }

    /// Presses Ctrl-C, and waits for the next prompt: the one after the end of reading, not one drawn while typing.
    #[track_caller]
    fn drops(&mut self) {
        self.types(CTRL_C);
        self.sees("\x1b[?2004l");
        self.sees(":memory:> ");
    }

    /// Sends a text, and waits for what comes of it and for the next prompt. Keys pressed before that would reach the
    /// terminal while it still treats some of them itself.
    #[track_caller]
    fn runs(&mut self, text: &str, seen: &str) {
        self.types(text);
        self.types(ENTER);
        self.sees(seen);
        self.sees("> ");
    }

    /// The same for a query with one small answer.
    #[track_caller]
    fn answers(&mut self, sql: &str, answer: &str) {
        self.runs(sql, &format!(" {answer} │"));
    }

    /// Waits for the end, and gives the exit code.
    #[track_caller]
    fn ends(mut self) -> i32 {
        self.session.exp_eof().unwrap();
        match self.session.process().wait().unwrap() {
            WaitStatus::Exited(_, code) => code,
            other => panic!("it ended with {other:?}"),
        }
    }

    /// Leaves as one does.
    #[track_caller]
    fn leaves(mut self) {
        self.types(CTRL_D);
        assert_eq!(self.ends(), 0);
    }
}

fn world_with_tables() -> World {
    World::with_app("create table users(id integer primary key, email text); insert into users values (4711, 'ada@x');")
}

fn in_memory(world: &World) -> Person {
    Person::at(world, &[":memory:"], ":memory:> ")
}

fn histories(world: &World) -> Vec<PathBuf> {
    let folder = world.path("home/.local/state/torso/history");
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn prompt_tells_database_location_and_transaction() {
    let world = world_with_tables();
    world.ok(["db", "replicate", "app", "lhr"]);
    let mut person = Person::at(&world, &["app"], "app ams> ");
    person.types("begin;");
    person.types(ENTER);
    // The star has a colour of its own.
    person.sees("app ams\x1b[0m\x1b[1m\x1b[33m*\x1b[0m");
    person.answers("rollback; select 1;", "1");
    person.leaves();
    Person::at(&world, &["app", "--location", "lhr"], "app lhr (replica)> ").leaves();
}

#[test]
fn statement_of_several_lines_is_edited_and_recalled_as_one() {
    let world = World::new();
    let mut person = in_memory(&world);
    person.types("select 600");
    person.types(ENTER);
    person.sees("...> ");
    person.answers("+ 66;", "666");
    // Recalled whole, with the cursor at its end: to the line above, its start, past two words; then 600 becomes 700.
    person.types(&format!("{UP}{UP}{CTRL_A}\x1bf\x1bf{BACKSPACE}{BACKSPACE}{BACKSPACE}"));
    person.answers("700", "766");
    // A line end is one character to the keys, and gone with one of them.
    person.types(&format!("select 40{ENTER}2 * 2;"));
    person.answers(&format!("{CTRL_A}{LEFT}\x1b[C{BACKSPACE}"), "804");
    person.leaves();
    let stored = std::fs::read_to_string(&histories(&world)[0]).unwrap();
    assert_eq!(stored, "select 600\\n+ 66;\nselect 700\\n+ 66;\nselect 402 * 2;\n");
}

#[test]
fn prompt_of_a_continuation_tells_what_is_open() {
    let world = World::new();
    let mut person = in_memory(&world);
    for (typed, shown) in [("select 'a", "'"), ("b', (1, (2", "(x2"), (")) /* c", "/*")] {
        person.types(typed);
        person.types(ENTER);
        person.sees(&format!("{shown:<5}...> "));
    }
    person.drops();
    person.answers("select 6 * 7;", "42");
    person.leaves();
}

#[test]
fn ctrl_c_drops_what_was_typed_and_never_leaves() {
    let world = World::new();
    let mut person = in_memory(&world);
    person.types("select 'never");
    person.types(ENTER);
    person.sees("'    ...> ");
    person.types("finished");
    person.drops();
    person.answers("select 10 + 1;", "11");
    for _ in 0..4 {
        person.types(CTRL_C);
        person.sees("Ctrl-D or .quit leaves.");
        person.sees("> ");
    }
    person.answers("select 10 + 2;", "12");
    person.leaves();
}

#[test]
fn ctrl_c_stops_a_running_query() {
    let world = World::new();
    stops_within_200_ms(in_memory(&world));
}

#[test]
fn ctrl_c_stops_a_query_that_a_server_runs() {
    let server = Sqld::start();
    let world = World::new();
    stops_within_200_ms(Person::at(&world, &[&server.url()], "> "));
}

/// Has a query stopped that has no end.
fn stops_within_200_ms(mut person: Person) {
    let mut fastest = std::time::Duration::MAX;
    // More often than what would end the program if nothing listened.
    for _ in 0..4 {
        person.types("with recursive c(x) as (select 1 union all select x + 1 from c) select max(x) from c;");
        person.types(ENTER);
        // The editor gives the terminal back: the query runs, and the key is a signal.
        person.sees("\x1b[?2004l\r\n");
        std::thread::sleep(std::time::Duration::from_millis(100));
        let pressed = std::time::Instant::now();
        person.types(CTRL_C);
        person.sees("interrupted");
        person.sees("> ");
        fastest = fastest.min(pressed.elapsed());
    }
    // The fastest: other programs may have kept the machine busy at the others.
    assert!(fastest.as_millis() < 200, "{fastest:?}");
    person.answers("select 20 + 1;", "21");
    person.leaves();
}

#[test]
fn transaction_that_is_lost_is_reported_and_nothing_runs_outside() {
    let mut server = Sqld::start();
    let world = World::new();
    let url = server.url();
    world.ok(["db", "shell", &url, "create table t(a); insert into t values (700);"]);
    let mut person = Person::at(&world, &[&url], "> ");
    person.types("begin;\r");
    person.sees("*\x1b[0m");
    person.types("insert into t values (1);\r");
    person.sees("\x1b[?2004l");
    // The editor has the terminal again: the statement was run.
    person.sees("\x1b[?2004h");
    server.restart();
    person.runs("delete from t;", "transaction lost");
    // The prompt has no star any more, and the row is there.
    person.answers("select sum(a) from t;", "700");
    person.leaves();
}

#[test]
fn shellrc_is_read_and_read_only_is_shown_and_kept() {
    let world = world_with_tables();
    let folder = world.path("config");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("shellrc"), ".nullvalue nothing\n.timer on\n").unwrap();
    let server = Sqld::start();
    let url = server.url();
    world.ok(["db", "shell", &url, "create table users(id);"]);
    for (target, prompt) in [("app", "app ams (read-only)> "), (url.as_str(), " (read-only)> ")] {
        let mut person = Person::at(&world, &[target, "--read-only"], prompt);
        person.runs("select null as n;", "nothing");
        person.runs("delete from users;", "attempt to write a readonly database");
        person.runs(".databases", " r/o\r\n");
        person.leaves();
    }
}

#[test]
fn exit_and_quit_are_understood_as_words() {
    let world = World::new();
    for word in ["exit", "QUIT;", ".quit", "\\q"] {
        let mut person = in_memory(&world);
        person.types(word);
        person.types(ENTER);
        assert_eq!(person.ends(), 0, "{word}");
    }
    let mut person = in_memory(&world);
    person.types(".exit 7");
    person.types(ENTER);
    assert_eq!(person.ends(), 7);
}

#[test]
fn history_is_kept_for_each_database_privately_and_without_secrets() {
    let world = world_with_tables();
    let mut person = Person::at(&world, &["app"], "app ams> ");
    person.answers("select 30 + 1;", "31");
    person.answers("pragma key = 'hunter2'; select 1;", "1");
    person.runs(".print token=s3cret", "\r\ntoken=s3cret\r\n");
    person.answers("select 30 + 2;", "32");
    person.leaves();
    let files = histories(&world);
    assert_eq!(files.len(), 1);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&files[0]), 0o600);
    assert_eq!(mode(files[0].parent().unwrap()), 0o700);
    let stored = std::fs::read_to_string(&files[0]).unwrap();
    assert_eq!(stored, "select 30 + 1;\nselect 30 + 2;\n");
    // The next session recalls it; another database knows nothing of it.
    let mut person = Person::at(&world, &["app"], "app ams> ");
    person.answers(&format!("{UP}{UP}"), "31");
    person.leaves();
    let mut person = Person::at(&world, &["./other.db"], "other.db> ");
    person.answers(&format!("{UP}select 33;"), "33");
    person.leaves();
}

#[test]
fn tab_completes_tables_columns_words_and_commands() {
    let world = world_with_tables();
    let mut person = Person::at(&world, &["app"], "app ams> ");
    person.answers(&format!("sel{TAB}id fr{TAB}us{TAB};"), "4711");
    person.runs(&format!("SEL{TAB}length(em{TAB}) FROM users;"), "│ length(email) │");
    person.runs(&format!(".ta{TAB}"), "\r\nusers");
    // What is made now can be completed at once.
    person.answers("create table fresh(zebra); select 2;", "2");
    person.answers(
        &format!("insert into fr{TAB}(ze{TAB}) values (5) returning zebra * 100;"),
        "500",
    );
    person.types(&format!(".open ap{TAB}"));
    person.sees(".open\x1b[0m app");
    person.types(CTRL_C);
    person.sees("> ");
    person.leaves();
}

#[test]
fn paste_waits_for_enter_and_runs_in_order() {
    let world = World::new();
    let mut person = in_memory(&world);
    person.types(concat!(
        "\x1b[200~create table t(a);\ninsert into t values (\n  'x\n\ty');\n",
        ".headers off\nselect 'two: ' || length(a) from t;\nselect 77;\x1b[201~"
    ));
    person.runs("", "two: 4");
    person.leaves();
    // A paste never does what a key does.
    let mut person = in_memory(&world);
    person.answers("\x1b[200~select 8\x03\x04\x1b[A\tas eight\x1b[201~;", "8");
    person.leaves();
}

#[test]
fn errors_point_at_the_word_and_suggest_what_was_meant() {
    let world = world_with_tables();
    let mut person = Person::at(&world, &["app"], "app ams> ");
    person.runs(
        &format!("select id,{ENTER}  emial{ENTER}from users;"),
        "no such column: emial (did you mean email?)\r\nline 2:   emial\r\n          ^^^^^\r\n",
    );
    person.runs("select * from usres;", "no such table: usres (did you mean users?)");
    person.runs(".tabels", "did you mean .tables?");
    person.runs(
        "pragma journl_mode;",
        "there is no pragma journl_mode, so nothing was done (did you mean journal_mode?)",
    );
    person.leaves();
}

#[test]
fn results_fit_the_terminal() {
    let mut world = World::new();
    world.set("PAGER", "sed 's/^ */paged: /'");
    let mut person = in_memory(&world);
    person.runs(
        "select 12 as n, null as none, '' as empty, 'a' || char(27) || '[2Jb' as evil;",
        "│ 12 │ \x1b[2mNULL\x1b[0m │       │ a␛[2Jb │",
    );
    person.runs(
        "select 1 as id, replace(hex(zeroblob(99)), '0', 'x') as long;",
        "xxx… │",
    );
    person.types(&format!(".mode line{ENTER}"));
    person.sees("\x1b[?2004h");
    person.runs("select hex(zeroblob(50)) as long;", &"0".repeat(100));
    person.types(&format!(".mode box{ENTER}"));
    person.sees("\x1b[?2004h");
    let many: Vec<String> = (100..140)
        .map(|number| format!("{number} as a_rather_long_name_{number}"))
        .collect();
    // One value a line: taller than the screen, so the pager has it.
    person.runs(
        &format!("\x1b[200~select {};\x1b[201~", many.join(", ")),
        "paged: a_rather_long_name_139 | 139",
    );
    person.leaves();
}

#[test]
fn names_at_the_prompt_do_not_steer_the_terminal() {
    let world = World::new();
    world.ok(["db", "shell", "evil.db", "create table \"t\x1b[2Jx\"(a);"]);
    let mut person = Person::at(&world, &["evil.db"], "evil.db> ");
    for command in [".tables", ".schema", ".dump"] {
        person.runs(command, "t␛[2Jx");
    }
    person.runs("select null;", "│ \x1b[2mNULL\x1b[0m │");
    // Scripts get what is there.
    assert!(world.ok(["db", "shell", "evil.db", ".tables"]).contains("t\x1b[2Jx"));
    person.leaves();
}

#[test]
fn pager_shows_what_is_taller_than_the_screen() {
    let mut world = World::new();
    world.set("PAGER", "sed 's/^/paged: /'");
    let mut person = in_memory(&world);
    person.runs(
        "with recursive c(x) as (select 1 union all select x + 1 from c limit 60) select x from c;",
        "paged: │ 60 │",
    );
    person.answers("select 61;", "61");
    person.leaves();
}

#[test]
fn rows_are_shown_as_they_come_and_leaving_the_pager_stops_the_query() {
    let server = Sqld::start();
    let mut world = World::new();
    world.set("PAGER", "head -n 4 | sed 's/^/paged: /'");
    // It has no end: whoever held its rows, or went on after the pager is left, would never be done.
    let endless = "with recursive c(x) as (select 1 union all select x + 1 from c) select x as endless from c;";
    let url = server.url();
    for (target, prompt) in [(":memory:", ":memory:> "), (url.as_str(), "> ")] {
        let mut person = Person::at(&world, &[target], prompt);
        person.runs(endless, "paged: │       1 │");
        person.answers("select 80 + 1;", "81");
        person.leaves();
    }
}

#[test]
fn edit_changes_the_last_statement_in_an_editor() {
    let mut world = World::new();
    let editor = world.write("editor.sh", "#!/bin/sh\nsed -i s/41/42/ \"$1\"\n");
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.set("EDITOR", &editor);
    let mut person = in_memory(&world);
    person.answers("select 40 + 1, 41 as x;", "41");
    person.types(&format!(".edit{ENTER}"));
    person.sees("\x1b[?2004h");
    person.answers("", "42");
    person.leaves();
}

#[test]
fn colour_and_editing_are_off_without_a_capable_terminal() {
    let mut world = World::new();
    world.set("NO_COLOR", "1");
    let mut person = in_memory(&world);
    person.types("select 'x', null;");
    person.types(ENTER);
    let before = person.session.exp_string("NULL").unwrap();
    assert!(!before.contains("\x1b[1m") && !before.contains("\x1b[3"), "{before:?}");
    world.set("TERM", "dumb");
    let mut person = in_memory(&world);
    person.types("select\n6 * 7;\n");
    person.sees(" 42 │");
    person.sees("> ");
    person.leaves();
}

#[test]
fn terminal_without_cursor_shows_what_is_open_and_ctrl_c_drops_it() {
    let mut world = World::new();
    world.set("TERM", "dumb");
    let mut person = in_memory(&world);
    person.types("select 'never\n");
    person.sees("'    ...> ");
    // More often than what would end the program if nothing listened.
    for _ in 0..4 {
        person.types(CTRL_C);
        person.sees(":memory:> ");
    }
    // A statement that a command cut off comes back, and needs only its end.
    person.types("select 4700 + 11\n");
    person.sees("...> ");
    person.types(".tables\n");
    person.sees("does not end with \";\"");
    person.sees("select 4700 + 11\r\n");
    person.sees("...> ");
    person.types(";\n");
    person.sees(" 4711 │");
    person.sees(":memory:> ");
    person.types("quit\n");
    assert_eq!(person.ends(), 0);
}

#[test]
fn server_at_the_prompt_works_as_a_file_does() {
    let server = Sqld::start();
    let world = World::new();
    let url = server.url();
    world.ok([
        "db",
        "shell",
        &url,
        "create table zebras(zigzags integer); insert into zebras values (4712);",
    ]);
    let mut person = Person::at(&world, &[&url], "> ");
    // What the server holds is read in the background; nothing waits for it, so Tab is pressed until it is known.
    person.types("select zig from ze");
    for _ in 0..30 {
        person.types(TAB);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    person.answers(&format!(";\x1b[D\x1bb\x1bb\x1bb\x1bf{TAB}"), "4712");
    person.runs(
        "select zigzgas from zebras;",
        "no such column: zigzgas (did you mean zigzags?)",
    );
    person.types("begin;");
    person.types(ENTER);
    person.sees("*\x1b[0m");
    person.answers("rollback; select 9;", "9");
    person.leaves();
}

#[test]
fn protected_database_is_not_changed_much_without_a_question() {
    let world = world_with_tables();
    world.ok(["db", "config", "set", "app", "delete-protection", "on"]);
    let mut person = Person::at(&world, &["app"], "app ams> ");
    for refusal in ["n", ""] {
        person.types("delete from users;\r");
        person.sees("Delete protection is on. This deletes every row of the table. Run it? [y/N] ");
        person.types(refusal);
        person.types(ENTER);
        person.sees("Not run.");
    }
    person.answers("select count(*) + 100 from users;", "101");
    // What is bounded is not asked about.
    person.answers(
        "delete from users where id = 1; select count(*) + 200 from users;",
        "201",
    );
    person.types("drop table users;\r");
    person.sees("Run it? [y/N] ");
    person.types("y\r");
    person.answers("select count(*) + 300 from sqlite_schema;", "300");
    person.leaves();
    // Scripts are never asked.
    world.ok(["db", "shell", "app", "create table t(a); drop table t;"]);
}

#[test]
fn keys_typed_ahead_of_the_prompt_all_run() {
    let world = World::new();
    let mut person = in_memory(&world);
    // One burst, as a terminal without bracketed paste sends it: each statement is read by a reading of its own.
    person.types("begin;\rcreate table b(a);\rinsert into b values(4100);\rcommit;\rselect a + 11 as sum from b;\r");
    person.sees(" 4111 │");
    person.leaves();
}

#[test]
fn slips_at_the_prompt_are_answered_and_lose_nothing() {
    let world = world_with_tables();
    let mut person = Person::at(&world, &["app"], "app ams> ");
    person.runs("  .tables", "users\r\n");
    person.runs(".headers on;", "");
    for (typed, meant) in [
        ("show tables;", ".tables lists the tables"),
        ("describe users", ".schema users"),
        ("\\dt", ".tables lists"),
        ("help", ".help lists"),
        ("use other;", ".open other"),
    ] {
        person.runs(typed, meant);
    }
    // The statement comes back without the command, and needs only its end.
    person.types("select 40 + 4671\r.tables\r");
    person.sees("does not end with \";\"");
    // Typed once more, it is still a command and no part of the statement.
    person.types(".tables\r");
    person.sees("does not end with \";\"");
    person.types("exit\r");
    person.sees("the statement before \"exit\"");
    person.types(";\r");
    person.sees(" 4711 │");
    person.runs("select now();", "did you mean datetime('now')?");
    person.runs("select\u{a0}1;", "a no-break space");
    person.leaves();
}

#[test]
fn import_with_another_separator_is_warned_of_at_a_terminal_only() {
    let world = World::new();
    world.write("semicolons.csv", "a;b\n1;2\n");
    let mut person = in_memory(&world);
    person.runs(
        ".import --csv semicolons.csv t",
        "Warning: semicolons.csv looks as if \";\" separated its columns; here it is one column.\r\n\
         If so, drop the table, and type:\r\n  .separator \";\"\r\n  .import semicolons.csv t\r\n",
    );
    // What cannot be read is no reason to leave.
    person.runs(".import --csv . u", "Error: cannot read .: Is a directory");
    person.runs("drop table t;", "");
    person.runs(".separator \";\"", "");
    person.runs(".import semicolons.csv t", "");
    person.answers("select 4000 + a + b from t;", "4003");
    person.leaves();
    let script = world.torso(["db", "shell", ":memory:", ".import --csv semicolons.csv t", ".schema"]);
    assert_eq!(script.success().stderr, "");
    let script = world.torso_with_input(["db", "shell", ":memory:"], ".import --csv . t\nselect 4711;\n");
    assert_eq!(
        (script.code(), script.stdout.as_str()),
        (1, "4711\n"),
        "{}",
        script.report()
    );
}

#[test]
fn exit_in_an_open_transaction_takes_a_second_time() {
    let world = World::new();
    let mut person = in_memory(&world);
    person.types("begin;\r");
    person.sees("\x1b[33m*");
    person.types(CTRL_D);
    person.sees("A transaction is open");
    person.sees("\x1b[33m*");
    person.types(".quit\r");
    assert_eq!(person.ends(), 0);
}

#[test]
fn safe_mode_at_the_prompt_refuses_a_command_and_goes_on() {
    let world = World::new();
    let mut person = Person::at(&world, &[":memory:", "-safe"], ":memory:> ");
    person.runs(".shell ls", "cannot run .shell in safe mode");
    person.runs("attach 'x' as y;", "in safe mode");
    person.answers("select 40 + 4671;", "4711");
    person.leaves();
}

#[test]
fn pager_that_cannot_be_started_swallows_no_rows() {
    for (name, value) in [("PAGER", "/no/such/pager"), ("PAGER", "false"), ("TERM", "dumb")] {
        let mut world = World::new();
        world.set(name, value);
        let mut person = in_memory(&world);
        person.types("select 'row ' || value as row from generate_series(1, 300);\r");
        person.sees("row 1 ");
        person.sees("row 300 ");
        person.sees("> ");
        person.leaves();
    }
}

/// Neither what was typed before nor the transaction goes with it.
#[test]
fn bytes_that_are_not_utf8_drop_the_line_and_nothing_else() {
    let world = World::new();
    let mut person = Person::at(&world, &[":memory:"], ":memory:> ");
    person.types("create table t (a); begin; insert into t values (7);\r");
    person.sees("*\u{1b}[0m");
    let mut terminal = person.session.process().get_file_handle().unwrap();
    std::io::Write::write_all(&mut terminal, b"\xe9x").unwrap();
    person.sees("is not UTF-8, and was dropped");
    person.sees("*\u{1b}[0m");
    person.types(CTRL_C);
    person.sees("Ctrl-D or .quit leaves.");
    person.sees("*\u{1b}[0m");
    person.types("select 'a = ' || a from t;\r");
    person.sees("a = 7");
}
