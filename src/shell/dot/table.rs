//! The table of dot-commands.
//!
//! A row: name, letters that must be typed, function, group in the documentation, whether it is harmless in safe mode (and
//! `hidden` if completion leaves it out), arguments for completion; then usage and summary; then details, a line each, and an
//! example. A command is refused in safe mode until its row says `Harmless`, or `Checked` if its function refuses what
//! reaches outside.
//!
//! The first row that begins with what was typed is meant, so the order is part of the interface; it is that of the
//! `sqlite3` shell. Commands that it does not have come last and must be typed in full.

use super::{
    Command, auth, backup, clone, connection, databases, dbconfig, dbinfo, diff, dump, edit, exit, expert, filectrl,
    find, help, import, intck, limits, lint, load, log, mode, nonce, open, output, parameter, print, progress, prompt,
    query, read, recover, schema, selftest, settings, sha3sum, show, sizes, stats, system, tables, testcase, timeout,
    trace, version, vfs, watch,
};
use crate::shell::command_spec::Argument::{self, Database, Directory, Mode, Path, PathOr, Table, Words};
use crate::shell::command_spec::{CommandSpec, Group, SWITCH, SafeMode};

macro_rules! hidden {
    () => {
        false
    };
    (hidden) => {
        true
    };
}

macro_rules! commands {
    ($($name:literal, $shortest:literal, $run:path, $group:ident, $safe:ident $($hidden:ident)?, [$($argument:expr),*],
        $usage:literal, $summary:literal,
        [$($detail:literal,)*], $example:literal;)*) => {
        /// In the order in which abbreviations are tried.
        pub const COMMANDS: &[Command] = &[$(Command {
            spec: CommandSpec {
                name: $name,
                shortest: $shortest,
                group: Group::$group,
                safe_mode: SafeMode::$safe,
                hidden: hidden!($($hidden)?),
                arguments: &[$($argument),*],
                usage: $usage,
                summary: $summary,
                details: &[$($detail),*],
                example: $example,
            },
            run: $run,
        },)*];
    };
}

commands! {
    "auth", 1, auth::auth, Engine, Harmless, [SWITCH],
        "on|off", "Tell what each statement asks permission for (local files)",
        [], ".auth on";
    "backup", 3, backup::backup, Transfer, Refused, [Path],
        "?DB? FILE", "Write a copy of the database to FILE",
        [
            "DB is the name of an attached database; without it, main is copied. Of a server, rows",
            "are copied in one transaction, and a FILE that exists is replaced in the end.",
            "--async                Faster, but a crash may leave a broken copy",
        ], ".backup before-the-change.db";
    "save", 3, backup::backup, Transfer, Refused, [Path],
        "FILE", "The same as .backup",
        [], ".save copy.db";
    "bail", 3, settings::bail, Statements, Harmless, [SWITCH],
        "on|off", "Leave at the first error, or go on (as at the start)",
        [], ".bail on";
    "binary", 3, settings::binary, Shell, Harmless hidden, [],
        "on|off", "Accepted for old scripts: bytes are never translated",
        [], ".binary on";
    "breakpoint", 3, settings::nothing, Shell, Harmless hidden, [],
        "", "Accepted for old scripts: does nothing",
        [], ".breakpoint";
    "cd", 2, system::cd, Shell, Refused, [Directory],
        "DIRECTORY", "Go to another working directory",
        [], ".cd /tmp";
    "changes", 3, settings::changes, Statements, Harmless, [SWITCH],
        "on|off", "Tell after each statement how many rows it changed",
        [], ".changes on";
    "check", 3, testcase::check, Health, Refused hidden, [],
        "GLOB", "Compare what was written since .testcase with a pattern",
        [
            "Besides the signs of GLOB, # stands for a number and white space for any white space.",
        ], ".check '*3 rows*'";
    "clone", 1, clone::clone, Transfer, Refused, [Path],
        "TARGET", "Copy schema and rows to a new file, or to an empty server's URL",
        [
            "Between two files, statement by statement, which leaves damaged parts behind; with",
            "a server on one side, in one transaction, with row ids and full-text indexes.",
        ], ".clone http://localhost:8080";
    "connection", 1, connection::connection, Connection, Harmless, [Words(&["close"])],
        "?close? ?N?", "List connections, go to connection N (0 to 4), or close it",
        [
            "Each connection has a database of its own: go to a free one and .open a file or a URL.",
        ], ".connection 1";
    "databases", 2, databases::databases, Schema, Harmless, [],
        "", "List the databases that are open, with their files",
        [], ".databases";
    "dbconfig", 3, dbconfig::dbconfig, Engine, Harmless, [],
        "?NAME? ?on|off?", "Show or set the engine's switches (local files)",
        [], ".dbconfig defensive on";
    "dbinfo", 3, dbinfo::dbinfo, Schema, Harmless, [],
        "?DB?", "Tell what the header of the database says, and count objects",
        [], ".dbinfo";
    "recover", 1, recover::recover, Transfer, Harmless, [],
        "", "Write every row that can be reached in a damaged database, as SQL",
        [
            "Reads tables from both ends and past what is broken in between. Rows that no table",
            "leads to any more are not searched for in loose pages. Works on servers too.",
        ], ".recover";
    "dump", 1, dump::dump, Transfer, Harmless, [Table],
        "?PATTERN ...?", "Write the database as SQL that makes it again",
        [
            "A PATTERN (as in LIKE) names the tables, indexes, views and triggers wanted.",
            "--data-only            Rows only, no schema",
            "--newlines             Keep line ends inside texts as they are",
            "--nosys                Without sqlite_sequence and sqlite_stat tables",
            "--preserve-rowids      Also row ids that are not columns",
        ], ".dump --nosys 'air%'";
    "echo", 1, settings::echo, Statements, Harmless, [SWITCH],
        "on|off", "Repeat each input before its result",
        [], ".echo on";
    "eqp", 1, settings::eqp, Cost, Harmless, [Words(&["on", "off", "full", "trace", "trigger"])],
        "on|off|full|trigger", "Show the query plan before each result",
        [
            "trigger also shows the plans of triggers, full also the program.",
        ], ".eqp on";
    "exit", 1, exit::exit, Shell, Harmless, [],
        "?CODE?", "Leave; the exit code is 0 unless CODE is given",
        [], ".exit 3";
    "explain", 1, settings::explain, Output, Harmless, [Words(&["on", "off", "auto"])],
        "?on|off|auto?", "Lay results of EXPLAIN out as programs (auto: when they are)",
        [], ".explain auto";
    "expert", 1, expert::expert, Cost, Harmless, [],
        "", "Tell which indexes would help the next statement, and run nothing",
        [
            "Tried in a copy of the schema without rows; what ANALYZE found counts.",
            "--verbose --sample N   Accepted for old scripts",
        ], ".expert";
    "filectrl", 1, filectrl::filectrl, Engine, Harmless, [],
        "NAME ?VALUE?", "Ask or tell the file layer something (local files)",
        [
            "--schema DB            About an attached database",
            "--help                 List the names",
        ], ".filectrl size_limit 1000000";
    "fullschema", 1, schema::fullschema, Schema, Harmless, [],
        "?--indent?", "Show the schema and what ANALYZE found",
        [], ".fullschema --indent";
    "headers", 1, settings::headers, Output, Harmless, [SWITCH],
        "on|off", "Begin results with the names of columns",
        [], ".headers on";
    "help", 1, help::help, Shell, Harmless, [Argument::Command],
        "?-all? ?NAME?", "List the commands, or tell all about those that begin so",
        [
            "A word that begins no command finds those whose help speaks of it.",
        ], ".help import";
    "import", 1, import::import, Transfer, Refused, [Path, Table],
        "FILE TABLE", "Read records of FILE into TABLE, making it if need be",
        [
            "A new table's columns are named by the first record. Without an option the",
            "separators of .separator and .mode count. FILE may be '|program'.",
            "--ascii                Fields end in \\037, records in \\036",
            "--create               Make the table; if it is there, import nothing",
            "--csv                  Fields end in a comma, records in a line end",
            "--dry-run              Read all, tell what would be added, change nothing",
            "--json, --jsonl        Objects, in an array or one after the other",
            "--tsv                  Fields end in a tab, records in a line end",
            "--null TEXT            Fields that are TEXT become NULL",
            "--schema DB            The table is in the attached database DB",
            "--skip N               Leave the first N records out",
            "--types LIST           A new table's types: INTEGER,TEXT,… or guess, from the values",
            "-v                     Tell what is done",
        ], ".import --csv --skip 1 airports.csv airports";
    "indices", 1, tables::indexes, Schema, Harmless hidden, [],
        "?PATTERN?", "The same as .indexes",
        [], ".indices airports";
    "indexes", 1, tables::indexes, Schema, Harmless, [Table],
        "?PATTERN?", "List indexes, or those of tables LIKE PATTERN",
        [], ".indexes airports";
    "limits", 5, limits::limits, Engine, Harmless, [Words(&limits::NAMES)],
        "?NAME? ?VALUE?", "Show or set the engine's limits (local files)",
        [], ".limit length 1000000";
    "lint", 3, lint::lint, Cost, Harmless, [Words(&["fkey-indexes"])],
        "fkey-indexes", "Show the indexes that foreign keys lack",
        [
            "-verbose               Also keys that lack none",
            "-groupbyparent         Sort by the table that is referred to",
        ], ".lint fkey-indexes";
    "load", 1, load::load, Engine, Refused, [Path],
        "FILE ?ENTRY?", "Load an extension of SQLite (local files)",
        [], ".load ./my-functions";
    "log", 3, log::log, Destination, Refused, [Path],
        "FILE|off", "Keep a record of statements that fail, with their codes",
        [
            "FILE may be stdout or stderr. The same for files and servers.",
        ], ".log failures.txt";
    "mode", 1, mode::mode, Output, Harmless, [Mode, Table],
        "MODE ?OPTIONS?", "Choose how results look; without MODE, print the present one",
        [
            "MODE is one of:",
            "{modes}",
            "jsonl (an object a line) and vertical (a value a line) are this shell's own;",
            "insert takes the name of a table.",
            "--wrap N               Break values after N cells (columns, boxes)",
            "--wordwrap on|off      Break between words",
            "--ww                   The same as --wordwrap on",
            "--quote, --noquote     Values as SQL literals, or as they are",
        ], ".mode box --wrap 40";
    "nonce", 5, nonce::nonce, Shell, Harmless hidden, [],
        "WORD", "Lift safe mode for the next command, if WORD is the right one",
        [], ".nonce 7e5a1c";
    "nullvalue", 1, settings::nullvalue, Output, Harmless, [],
        "TEXT", "Show TEXT in place of NULL",
        [], ".nullvalue NULL";
    "open", 2, open::open, Connection, Checked, [Database],
        "?OPTIONS? ?NAME?", "Close this database and open another one",
        [
            "NAME is a file, :memory:, a URL or a database of torso; without it, an empty one.",
            "--new                  Begin with an empty file; what was in it is lost",
            "--nofollow             Accepted for old scripts",
            "--readonly             Change nothing",
        ], ".open --readonly http://localhost:8080";
    "output", 1, output::output, Destination, Refused, [Path],
        "?OPTIONS? ?FILE?", "Send results to FILE or '|program', or back to where they went",
        [
            "--bom                  Begin with a byte-order mark",
            "-e                     Open it in an editor",
            "-w                     Open it in a web browser",
            "-x                     Open it in a spreadsheet",
        ], ".output report.txt";
    "once", 1, output::once, Destination, Refused, [Path],
        "?OPTIONS? FILE", "Send only the next result to FILE or '|program'",
        [
            "--bom                  Begin with a byte-order mark",
            "-e                     Open it in an editor",
            "-w                     Open it in a web browser",
            "-x                     Open it in a spreadsheet",
        ], ".once airports.json";
    "excel", 5, output::excel, Destination, Refused, [],
        "", "Open the next result in a spreadsheet",
        [
            "--bom                  Begin the file with a byte-order mark",
        ], ".excel";
    "parameter", 3, parameter::parameter, Statements, Harmless, [Words(&["init", "list", "set", "unset", "clear"])],
        "CMD ...", "Values for the parameters (?1, :name) of statements",
        [
            "clear                  Forget them all",
            "init                   Make the table that holds them",
            "list                   Show them",
            "set NAME VALUE         VALUE is an SQL expression, or else a text; dates are texts",
            "unset NAME             Forget one",
        ], ".parameter set :code \"'AMS'\"";
    "print", 3, print::print, Destination, Harmless, [],
        "WORD ...", "Write the words",
        [], ".print done";
    "progress", 3, progress::progress, Engine, Harmless, [],
        "N", "Tell each N steps of the engine, or stop it (local files)",
        [
            "--limit N              Stop statements after N such steps",
            "--once                 But only the first",
            "--quiet                Tell only when stopping",
            "--reset                Count anew (as each .progress does)",
        ], ".progress 10000 --limit 50 --quiet";
    "prompt", 1, prompt::prompt, Shell, Harmless, [],
        "MAIN ?MORE?", "Other prompts for the first line and for further ones",
        [], ".prompt 'sql> ' '...> '";
    "quit", 1, exit::quit, Shell, Harmless, [],
        "", "Leave",
        [], ".quit";
    "read", 3, read::read, Transfer, Refused, [Path],
        "FILE", "Run what is in FILE, or what '|program' writes",
        [], ".read schema.sql";
    "restore", 3, backup::restore, Transfer, Refused, [Path],
        "?DB? SOURCE", "Replace the database by the one in a file or at a URL",
        [
            "What was in it is gone; if the copy fails, everything is as it was.",
        ], ".restore before-the-change.db";
    "scanstats", 1, settings::scanstats, Cost, Harmless hidden, [],
        "on|off", "Accepted for old scripts: there are no such statistics here",
        [], ".scanstats off";
    "schema", 1, schema::schema, Schema, Harmless, [Table],
        "?PATTERN?", "Show the statements that made what is LIKE PATTERN",
        [
            "--indent               Lay them out on lines",
            "--nosys                Without what is SQLite's own",
        ], ".schema --indent airports";
    "selftest", 4, selftest::selftest, Health, Harmless, [],
        "", "Run the checks in the table selftest, or an integrity check",
        [
            "--init                 Make that table from the present contents",
            "-v                     Show each check",
        ], ".selftest";
    "separator", 1, settings::separator, Output, Harmless, [],
        "COLUMN ?ROW?", "What stands between values and after rows",
        [], ".separator ';'";
    "sha3sum", 4, sha3sum::sha3sum, Schema, Harmless, [Table],
        "?PATTERN?", "A hash of the contents, the same wherever they are stored",
        [
            "PATTERN (as in LIKE) asks for a hash of each table that matches.",
            "--schema               The schema counts too",
            "--sha3-224 --sha3-256 --sha3-384 --sha3-512",
            "                       How long the hash is (224 bits without one)",
        ], ".sha3sum --schema";
    "shell", 1, system::system, Shell, Refused, [],
        "PROGRAM ...", "Run a program",
        [], ".shell ls";
    "system", 1, system::system, Shell, Refused, [],
        "PROGRAM ...", "The same as .shell",
        [], ".system date";
    "show", 1, show::show, Output, Harmless, [],
        "", "Show the settings",
        [], ".show";
    "stats", 1, stats::stats, Cost, Harmless, [Words(&["on", "off", "stmt", "vmstep"])],
        "?on|off|stmt|vmstep?", "Show what each statement cost; without a word, now",
        [
            "Of a file, the engine's counters; of a server, the rows it read and wrote, and the",
            "time spent there, on the network and here. Results of up to 10 MB come whole for that.",
            "stmt tells of the result's columns too, vmstep only of the engine's steps.",
        ], ".stats on";
    "tables", 2, tables::tables, Schema, Harmless, [Table],
        "?PATTERN?", "List tables and views, or those LIKE PATTERN",
        [], ".tables 'air%'";
    "testcase", 8, testcase::testcase, Health, Refused hidden, [],
        "NAME", "Collect results in testcase-out.txt, for .check",
        [], ".testcase one";
    "timeout", 5, timeout::timeout, Statements, Harmless, [],
        "MS", "Wait MS milliseconds for locks, or for a server to answer",
        [
            "Of a server, each part of an answer has that long; 0 is the usual five minutes.",
        ], ".timeout 5000";
    "timer", 5, settings::timer, Cost, Harmless, [SWITCH],
        "on|off", "Tell how long each statement took",
        [
            "On a server also the time spent there, on the network and here, and the rows read and",
            "written. Results of up to 10 MB come whole for that.",
        ], ".timer on";
    "trace", 1, trace::trace, Cost, Checked, [PathOr(&["stdout", "stderr", "off"])],
        "PLACE|off", "Show statements as they run",
        [
            "PLACE is a file, stdout or stderr.",
            "--close --profile --row --stmt",
            "                       What to tell of: ends, times, rows, statements (as without one)",
            "--expanded             With the values of parameters",
            "--plain                Without them",
        ], ".trace stderr --profile";
    "version", 1, version::version, Shell, Harmless, [],
        "", "The versions of SQLite and of torso",
        [], ".version";
    "vfsinfo", 4, vfs::vfsinfo, Engine, Harmless, [],
        "?DB?", "Tell about the layer beneath which a file lies (local files)",
        [], ".vfsinfo";
    "vfslist", 4, vfs::vfslist, Engine, Harmless, [],
        "", "List those layers (local files)",
        [], ".vfslist";
    "vfsname", 4, vfs::vfsname, Engine, Harmless, [],
        "?DB?", "Name the layers of the database's file (local files)",
        [], ".vfsname main";
    "wheretrace", 1, settings::nothing, Shell, Harmless hidden, [],
        "?N?", "Accepted for old scripts: the planner's notes are not there",
        [], ".wheretrace 0";
    "width", 2, settings::width, Output, Harmless, [],
        "N ...", "Widths of columns; 0 fits, negative ones go to the right",
        [], ".width 20 -10 0";
    "edit", 4, edit::edit, Statements, Refused, [],
        "?SQL?", "Change the last statement, or SQL, in $EDITOR",
        [
            "What is saved comes to the prompt, to be run or changed further. Needs a terminal.",
        ], ".edit select * from airports";
    "diff", 4, diff::diff, Schema, Refused, [Database],
        "TARGET", "Show what differs from another database",
        [
            "TARGET is a file, a URL or a database of torso. First objects that one side lacks",
            "or that were made by other SQL, then rows by primary key and, of rows in both, each",
            "value that differs. Results come in the mode chosen; differences count as an error.",
        ], ".diff http://localhost:8080";
    "find", 4, find::find, Schema, Harmless, [],
        "TEXT ?PATTERN?", "Look for TEXT in all tables, or in those LIKE PATTERN",
        [
            "Shows table, column, row and value, as they are found. Blobs are left out.",
            "--case                 Capitals and small letters are different",
        ], ".find Schiphol";
    "intck", 5, intck::intck, Health, Harmless, [],
        "", "Look for damage, and for rows that refer to none",
        [], ".intck";
    "query", 5, query::query, Statements, Refused, [Words(&["save", "run", "list", "drop"])],
        "CMD ...", "Statements kept by name, for all databases",
        [
            "save NAME SQL          Keep SQL as NAME, in queries.json in the settings directory",
            "run NAME               Run it; parameters are those of .parameter",
            "list                   Show all of them",
            "drop NAME              Forget it",
        ], ".query save big select * from city where people > :people";
    "sizes", 5, sizes::sizes, Schema, Harmless, [Table],
        "?PATTERN?", "Bytes of each table and index, the largest first",
        [], ".sizes";
    "watch", 5, watch::watch, Statements, Harmless, [],
        "SECONDS ?--count N? SQL", "Run SQL every SECONDS, until Ctrl-C or N times",
        [
            "In scripts --count is needed.",
        ], ".watch 2 select count(*) from jobs";
    "www", 3, output::www, Destination, Refused, [],
        "", "Open the next result in a web browser",
        [
            "--bom                  Begin the file with a byte-order mark",
        ], ".www";
}
