//! Every environment variable that torso reads, in one list: the code asks here, and `torso help environment` prints it.

use std::ffi::OsString;

/// A variable and what it does.
pub struct Variable {
    pub name: &'static str,
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($constant:ident $name:literal $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)*
        /// All of them, in the order of the printed list.
        pub const ALL: &[Variable] = &[$(Variable { name: $name, meaning: $meaning },)*];
    };
}

variables! {
    CONFIG_DIR "TORSO_CONFIG_DIR" "Directory of the settings, in place of the user's own";
    DATA_DIR "TORSO_DATA_DIR" "Directory of the embedded control plane: catalog and databases";
    SQLD "TORSO_SQLD" "Program of libSQL server, in place of the one that would be found";
    CONTEXT "TORSO_CONTEXT" "Context to use, in place of the settings' one";
    API_URL "TORSO_API_URL" "URL of a server to use, in place of a context";
    TOKEN "TORSO_TOKEN" "API token for a server";
    ORG "TORSO_ORG" "Organization to work in on a server";
    TURSO_API_URL "TURSO_API_BASEURL" "Understood where TORSO_API_URL is not set";
    TURSO_TOKEN "TURSO_API_TOKEN" "Understood where TORSO_TOKEN is not set";
    DATABASE_TOKEN "TORSO_DATABASE_TOKEN" "Token for a database that torso db shell is given by its URL";
    CI "CI" "When true, torso never prompts";
    NO_COLOR "NO_COLOR" "When set, no colour";
    CLICOLOR_FORCE "CLICOLOR_FORCE" "When set and not 0, colour even without a terminal";
    TERM "TERM" "When dumb, no colour";
    TZ "TZ" "Time zone, by which the nearest location is found";
    VISUAL "VISUAL" "Editor for .edit and edit() in the shell";
    EDITOR "EDITOR" "Understood where VISUAL is not set";
    PAGER "PAGER" "Program for what is taller than the screen; less without it, none when empty";
    COMPLETE "TORSO_COMPLETE" "Set by the completion stubs: the shell that asks for completions";
}

/// The variable's value, if it is set and not empty.
#[must_use]
pub fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Like [`get`], as text; bytes that are not UTF-8 are replaced.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    get(name).map(|value| value.to_string_lossy().into_owned())
}
