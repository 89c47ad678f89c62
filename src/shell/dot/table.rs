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
    Command, advisor, auth, backup, clone, connection, databases, dbconfig, dbinfo, diff, dump, edit, exit, filectrl,
    find, help, import, intck, limits, lint, load, log, mode, nonce, open, output, parameter, print, progress, prompt,
    query, read, recover, schema, selftest, settings, sha3sum, show, sizes, stats, system, tables, testcase, timeout,
    trace, version, vfs, watch,
};
use crate::shell::command_spec::Argument::{self, Database, Directory, Mode, Path, PathOr, Table, Words};
use crate::shell::command_spec::{CommandGroup, CommandSpec, SWITCH, SafeMode};

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
                group: CommandGroup::$group,
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
        "on|off", "Show authorizer calls of each statement (files only)",
        [], ".auth on";
    "backup", 3, backup::backup, Transfer, Refused, [Path],
        "?DB? FILE", "Write a copy of the database to FILE",
        [
            "DB is an attached database (default main). On a server, rows are copied in",
            "one transaction; an existing FILE is replaced at the end.",
            "--async                Faster, but a crash may leave a broken copy",
        ], ".backup before-the-change.db";
    "save", 3, backup::backup, Transfer, Refused, [Path],
        "FILE", "The same as .backup",
        [], ".save copy.db";
    "bail", 3, settings::bail, Statements, Harmless, [SWITCH],
        "on|off", "Stop at the first error (default off)",
        [], ".bail on";
    "binary", 3, settings::binary, Shell, Harmless hidden, [],
        "on|off", "Accepted for old scripts: bytes are never translated",
        [], ".binary on";
    "breakpoint", 3, settings::ignore, Shell, Harmless hidden, [],
        "", "Accepted for old scripts: does nothing",
        [], ".breakpoint";
    "cd", 2, system::cd, Shell, Refused, [Directory],
        "DIRECTORY", "Change the working directory",
        [], ".cd /tmp";
    "changes", 3, settings::changes, Statements, Harmless, [SWITCH],
        "on|off", "Show the number of changed rows after each statement",
        [], ".changes on";
    "check", 3, testcase::check, Health, Refused hidden, [],
        "GLOB", "Compare the output since .testcase with a pattern",
        [
            "As GLOB; also # matches a number, and a space matches any white space.",
        ], ".check '*3 rows*'";
    "clone", 1, clone::clone, Transfer, Refused, [Path],
        "TARGET", "Copy schema and rows to a new file or an empty server",
        [
            "Between two files: statement by statement, which skips damaged parts. With a",
            "server on one side: in one transaction, with row ids and full-text indexes.",
        ], ".clone http://localhost:8080";
    "connection", 1, connection::connection, Connection, Harmless, [Words(&["close"])],
        "?close? ?N?", "List connections, switch to N (0 to 4), or close it",
        [
            "Each connection has its own database: switch to a free one, then .open.",
        ], ".connection 1";
    "databases", 2, databases::databases, Schema, Harmless, [],
        "", "List the open databases and their files",
        [], ".databases";
    "dbconfig", 3, dbconfig::dbconfig, Engine, Harmless, [],
        "?NAME? ?on|off?", "Show or set the engine's switches (files only)",
        [], ".dbconfig defensive on";
    "dbinfo", 3, dbinfo::dbinfo, Schema, Harmless, [],
        "?DB?", "Show the database's header, and the number of objects",
        [], ".dbinfo";
    "recover", 1, recover::recover, Transfer, Harmless, [],
        "", "Save the rows of a damaged database as SQL",
        [
            "Reads tables from both ends and past broken parts. Loose pages, which belong",
            "to no table any more, are not searched. Works on servers too.",
        ], ".recover";
    "dump", 1, dump::dump, Transfer, Harmless, [Table],
        "?PATTERN ...?", "Write the database as SQL",
        [
            "A PATTERN (as in LIKE) selects tables, indexes, views and triggers.",
            "--data-only            Rows only, no schema",
            "--newlines             Keep line ends inside texts as they are",
            "--nosys                Leave out sqlite_sequence and sqlite_stat tables",
            "--preserve-rowids      Include row ids that are not columns",
        ], ".dump --nosys 'air%'";
    "echo", 1, settings::echo, Statements, Harmless, [SWITCH],
        "on|off", "Print each statement before its result",
        [], ".echo on";
    "eqp", 1, settings::eqp, Cost, Harmless, [Words(&["on", "off", "full", "trace", "trigger"])],
        "on|off|full|trigger", "Show the query plan before each result",
        [
            "trigger adds the plans of triggers, full adds the program.",
        ], ".eqp on";
    "exit", 1, exit::exit, Shell, Harmless, [],
        "?CODE?", "Leave, with exit code CODE (default 0)",
        [], ".exit 3";
    "explain", 1, settings::explain, Output, Harmless, [Words(&["on", "off", "auto"])],
        "?on|off|auto?", "Format EXPLAIN results as programs",
        [], ".explain auto";
    "expert", 1, advisor::expert, Cost, Harmless, [],
        "", "Suggest indexes for the next statement; do not run it",
        [
            "Uses a copy of the schema without rows, and the results of ANALYZE.",
            "--verbose --sample N   Accepted for old scripts",
        ], ".expert";
    "filectrl", 1, filectrl::filectrl, Engine, Harmless, [],
        "NAME ?VALUE?", "Send a command to the file's VFS (files only)",
        [
            "--schema DB            Use an attached database",
            "--help                 List the names",
        ], ".filectrl size_limit 1000000";
    "fullschema", 1, schema::fullschema, Schema, Harmless, [],
        "?--indent?", "Show the schema and the results of ANALYZE",
        [], ".fullschema --indent";
    "headers", 1, settings::headers, Output, Harmless, [SWITCH],
        "on|off", "Show column names above results",
        [], ".headers on";
    "help", 1, help::help, Shell, Harmless, [Argument::Command],
        "?-all? ?NAME?", "List the commands, or explain those like NAME",
        [
            "A word that begins no command is searched for in all help texts.",
        ], ".help import";
    "import", 1, import::import, Transfer, Refused, [Path, Table],
        "FILE TABLE", "Import FILE into TABLE; create the table if needed",
        [
            "The first record names a new table's columns. Without an option, the",
            "separators of .separator and .mode are used. FILE may be '|program'.",
            "--ascii                Fields end in \\037, records in \\036",
            "--create               Create the table; if it exists, import nothing",
            "--csv                  Fields end in a comma, records in a line end",
            "--dry-run              Read everything and show the counts; change nothing",
            "--json, --jsonl        Objects, in an array or one after the other",
            "--tsv                  Fields end in a tab, records in a line end",
            "--null TEXT            Import fields that equal TEXT as NULL",
            "--schema DB            The table is in the attached database DB",
            "--skip N               Skip the first N records",
            "--types LIST           Types of a new table: INTEGER,TEXT,… or guess",
            "-v                     Show details",
        ], ".import --csv --skip 1 airports.csv airports";
    "indices", 1, tables::indexes, Schema, Harmless hidden, [],
        "?PATTERN?", "The same as .indexes",
        [], ".indices airports";
    "indexes", 1, tables::indexes, Schema, Harmless, [Table],
        "?PATTERN?", "List indexes, or those of tables LIKE PATTERN",
        [], ".indexes airports";
    "limits", 5, limits::limits, Engine, Harmless, [Words(&limits::NAMES)],
        "?NAME? ?VALUE?", "Show or set the engine's limits (files only)",
        [], ".limit length 1000000";
    "lint", 3, lint::lint, Cost, Harmless, [Words(&["fkey-indexes"])],
        "fkey-indexes", "Show foreign keys that have no index",
        [
            "-verbose               Also list foreign keys that have an index",
            "-groupbyparent         Sort by the referenced table",
        ], ".lint fkey-indexes";
    "load", 1, load::load, Engine, Refused, [Path],
        "FILE ?ENTRY?", "Load an extension of SQLite (files only)",
        [], ".load ./my-functions";
    "log", 3, log::log, Destination, Refused, [Path],
        "FILE|off", "Write failed statements and their codes to a log",
        [
            "FILE may be stdout or stderr. Works on files and servers.",
        ], ".log failures.txt";
    "mode", 1, mode::mode, Output, Harmless, [Mode, Table],
        "MODE ?OPTIONS?", "Set the output mode; without MODE, show it",
        [
            "MODE is one of:",
            "{modes}",
            "torso adds jsonl (one object per line) and vertical (one value per line).",
            "insert takes the name of a table.",
            "--wrap N               Wrap values at N cells (column and box modes)",
            "--wordwrap on|off      Wrap between words",
            "--ww                   The same as --wordwrap on",
            "--quote, --noquote     Values as SQL literals, or as they are",
        ], ".mode box --wrap 40";
    "nonce", 5, nonce::nonce, Shell, Harmless hidden, [],
        "WORD", "Allow the next command, if WORD is that of -nonce",
        [], ".nonce 7e5a1c";
    "nullvalue", 1, settings::nullvalue, Output, Harmless, [],
        "TEXT", "Show TEXT instead of NULL",
        [], ".nullvalue NULL";
    "open", 2, open::open, Connection, Checked, [Database],
        "?OPTIONS? ?NAME?", "Close this database and open another one",
        [
            "NAME is a file, :memory:, a URL or a database of torso. Without NAME, an",
            "empty database in memory is opened.",
            "--new                  Start with an empty file; its content is lost",
            "--nofollow             Refuse symbolic links",
            "--readonly             Open it read-only",
        ], ".open --readonly http://localhost:8080";
    "output", 1, output::output, Destination, Refused, [Path],
        "?OPTIONS? ?FILE?", "Send results to FILE or '|program', or back to stdout",
        [
            "--bom                  Start with a byte-order mark",
            "-e                     Open the results in an editor",
            "-w                     Open the results in a web browser",
            "-x                     Open the results in a spreadsheet",
        ], ".output report.txt";
    "once", 1, output::once, Destination, Refused, [Path],
        "?OPTIONS? FILE", "Send only the next result to FILE or '|program'",
        [
            "--bom                  Start with a byte-order mark",
            "-e                     Open the results in an editor",
            "-w                     Open the results in a web browser",
            "-x                     Open the results in a spreadsheet",
        ], ".once airports.json";
    "excel", 5, output::excel, Destination, Refused, [],
        "", "Open the next result in a spreadsheet",
        [
            "--bom                  Start with a byte-order mark",
        ], ".excel";
    "parameter", 3, parameter::parameter, Statements, Harmless, [Words(&["init", "list", "set", "unset", "clear"])],
        "CMD ...", "Set values for the parameters (?1, :name) of statements",
        [
            "clear                  Remove all values",
            "init                   Create the table for the values",
            "list                   Show all values",
            "set NAME VALUE         VALUE is an SQL expression, else text (so are dates)",
            "unset NAME             Remove one value",
        ], ".parameter set :code \"'AMS'\"";
    "print", 3, print::print, Destination, Harmless, [],
        "WORD ...", "Print the words",
        [], ".print done";
    "progress", 3, progress::progress, Engine, Harmless, [],
        "N", "Report every N steps of the engine (files only)",
        [
            "--limit N              Stop a statement after N reports",
            "--once                 Stop only the first statement",
            "--quiet                Report only when stopping",
            "--reset                Start counting at 0 for each statement",
        ], ".progress 10000 --limit 50 --quiet";
    "prompt", 1, prompt::prompt, Shell, Harmless, [],
        "MAIN ?MORE?", "Set the prompts of the first line and of further lines",
        [], ".prompt 'sql> ' '...> '";
    "quit", 1, exit::quit, Shell, Harmless, [],
        "", "Leave",
        [], ".quit";
    "read", 3, read::read, Transfer, Refused, [Path],
        "FILE", "Run a script from FILE, or the output of '|program'",
        [], ".read schema.sql";
    "restore", 3, backup::restore, Transfer, Refused, [Path],
        "?DB? SOURCE", "Replace the database with one from a file or URL",
        [
            "The previous content is lost. If the copy fails, nothing is changed.",
        ], ".restore before-the-change.db";
    "scanstats", 1, settings::scanstats, Cost, Harmless hidden, [],
        "on|off", "Accepted for old scripts: does nothing",
        [], ".scanstats off";
    "schema", 1, schema::schema, Schema, Harmless, [Table],
        "?PATTERN?", "Show all CREATE statements, or those LIKE PATTERN",
        [
            "--indent               Indent the statements",
            "--nosys                Leave out SQLite's own tables",
        ], ".schema --indent airports";
    "selftest", 4, selftest::selftest, Health, Harmless, [],
        "", "Run the checks of the table selftest, or a general one",
        [
            "--init                 Create that table from the present content",
            "-v                     Show each check",
        ], ".selftest";
    "separator", 1, settings::separator, Output, Harmless, [],
        "COLUMN ?ROW?", "Set the separators of columns and rows",
        [], ".separator ';'";
    "sha3sum", 4, sha3sum::sha3sum, Schema, Harmless, [Table],
        "?PATTERN?", "Show a hash of the content, whatever its layout on disk",
        [
            "With PATTERN (as in LIKE), a hash of each matching table.",
            "--schema               Include the schema",
            "--sha3-224 --sha3-256 --sha3-384 --sha3-512",
            "                       Length of the hash (default 224 bits)",
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
        "?on|off|stmt|vmstep?", "Show the costs of each statement, or of the last",
        [
            "For a file, the engine's counters. For a server, the rows read and written,",
            "and the time of server, network and shell. For that, results up to 10 MB are",
            "read as a whole.",
            "stmt adds the result's columns, vmstep shows only the engine's steps.",
        ], ".stats on";
    "tables", 2, tables::tables, Schema, Harmless, [Table],
        "?PATTERN?", "List tables and views, or those LIKE PATTERN",
        [], ".tables 'air%'";
    "testcase", 8, testcase::testcase, Health, Refused hidden, [],
        "NAME", "Send results to testcase-out.txt, for .check",
        [], ".testcase one";
    "timeout", 5, timeout::timeout, Statements, Harmless, [],
        "MS", "Wait at most MS milliseconds for locks and servers",
        [
            "On a server, this limits each part of an answer; 0 is 5 minutes, the default.",
        ], ".timeout 5000";
    "timer", 5, settings::timer, Cost, Harmless, [SWITCH],
        "on|off", "Show how long each statement took",
        [
            "On a server also the time of server, network and shell, and the rows read and",
            "written. For that, results up to 10 MB are read as a whole.",
        ], ".timer on";
    "trace", 1, trace::trace, Cost, Checked, [PathOr(&["stdout", "stderr", "off"])],
        "PLACE|off", "Show statements as they run",
        [
            "PLACE is a file, stdout or stderr.",
            "--close --profile --row --stmt",
            "                       What to show: ends, times, rows, statements (default)",
            "--expanded             Show the values of parameters",
            "--plain                Show parameters as written",
        ], ".trace stderr --profile";
    "version", 1, version::version, Shell, Harmless, [],
        "", "Show the versions of SQLite and torso",
        [], ".version";
    "vfsinfo", 4, vfs::vfsinfo, Engine, Harmless, [],
        "?DB?", "Show details of the file's VFS (files only)",
        [], ".vfsinfo";
    "vfslist", 4, vfs::vfslist, Engine, Harmless, [],
        "", "List the available VFSes (files only)",
        [], ".vfslist";
    "vfsname", 4, vfs::vfsname, Engine, Harmless, [],
        "?DB?", "Show the name of the file's VFS (files only)",
        [], ".vfsname main";
    "wheretrace", 1, settings::ignore, Shell, Harmless hidden, [],
        "?N?", "Accepted for old scripts: does nothing",
        [], ".wheretrace 0";
    "width", 2, settings::width, Output, Harmless, [],
        "N ...", "Set column widths; 0 fits, negative aligns right",
        [], ".width 20 -10 0";
    "edit", 4, edit::edit, Statements, Refused, [],
        "?SQL?", "Edit the last statement, or SQL, in $EDITOR",
        [
            "The saved text comes back to the prompt. Needs a terminal.",
        ], ".edit select * from airports";
    "diff", 4, diff::diff, Schema, Refused, [Database],
        "TARGET", "Show what differs from another database",
        [
            "TARGET is a file, a URL or a database of torso. Shows objects that one side",
            "lacks or that have other SQL, then rows by primary key that one side lacks,",
            "then values that differ. Exit code 1 if anything differs.",
        ], ".diff http://localhost:8080";
    "find", 4, find::find, Schema, Harmless, [],
        "TEXT ?PATTERN?", "Search TEXT in all tables, or in those LIKE PATTERN",
        [
            "Shows table, column, row and value. Blobs are not searched.",
            "--case                 Distinguish upper and lower case",
        ], ".find Schiphol";
    "intck", 5, intck::intck, Health, Harmless, [],
        "", "Check for damage and broken foreign keys",
        [], ".intck";
    "query", 5, query::query, Statements, Refused, [Words(&["save", "run", "list", "drop"])],
        "CMD ...", "Save and run statements by name, for all databases",
        [
            "save NAME SQL          Save SQL as NAME in the settings directory",
            "run NAME               Run it, with the parameters of .parameter",
            "list                   Show all of them",
            "drop NAME              Remove it",
        ], ".query save big select * from city where people > :people";
    "sizes", 5, sizes::sizes, Schema, Harmless, [Table],
        "?PATTERN?", "Show the bytes of each table and index, largest first",
        [], ".sizes";
    "watch", 5, watch::watch, Statements, Harmless, [],
        "SECONDS ?--count N? SQL", "Run SQL every SECONDS, until Ctrl-C or N times",
        [
            "Scripts need --count.",
        ], ".watch 2 select count(*) from jobs";
    "www", 3, output::www, Destination, Refused, [],
        "", "Open the next result in a web browser",
        [
            "--bom                  Start with a byte-order mark",
        ], ".www";
}
