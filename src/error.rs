//! The one error type: what went wrong, in words for a person and a code for a script.
//!
//! A [`Code`] is a published name (`database_exists`) that never changes its meaning and is never reused. It decides the
//! [`Kind`], and the kind decides the exit code and, where a server answers over HTTP, the status. Nothing else in the
//! crate chooses an exit code or a status. Printing is left to `ui`; modules below it only build errors.

use std::error::Error as StdError;
use std::fmt;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The sort of failure. Exit codes and, but for a few codes, HTTP statuses depend on nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// A value that cannot be used: a malformed file, a size that does not parse.
    Invalid,
    /// This control plane or engine cannot do that.
    Unsupported,
    /// SQLite (or the remote engine) refused a statement.
    Sql,
    /// A bug in torso, or a problem of the machine: disk, permissions.
    Internal,
    /// The command line is wrong.
    Usage,
    NotFound,
    Unauthenticated,
    Forbidden,
    Exists,
    /// The thing is in a state that does not allow this.
    Conflict,
    /// A destructive command without a terminal and without `--yes`.
    Unconfirmed,
    /// Unreachable or busy; trying again may help.
    Unavailable,
    Timeout,
    /// Some parts of the command succeeded, some failed.
    Partial,
    Interrupted,
}

impl Kind {
    /// Every kind, in the order of the published table.
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Invalid | Self::Unsupported | Self::Sql | Self::Internal => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Unauthenticated | Self::Forbidden => 4,
            Self::Exists | Self::Conflict => 5,
            Self::Unconfirmed => 6,
            Self::Unavailable | Self::Timeout => 7,
            Self::Partial => 8,
            Self::Interrupted => 130,
        }
    }

    /// The HTTP status of a server's answer. Only a few well-understood ones are used, because clients of the Platform
    /// API treat every status but 200 as a failure and replace the text of a 403.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid | Self::Usage | Self::Sql | Self::Unconfirmed => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Exists | Self::Conflict => 409,
            Self::Internal | Self::Partial | Self::Interrupted => 500,
            Self::Unsupported => 501,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// Whether the same call may succeed later without a change by the user.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout)
    }

    /// The kind's name in documents: lower case, words joined by `_`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

macro_rules! codes {
    ($($variant:ident $text:literal $kind:ident $meaning:literal $remedy:literal;)*) => {
        /// The published list of error codes. Codes are added, never renamed and never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::VariantArray, strum::IntoStaticStr)]
        pub enum Code { $(#[doc = $meaning] #[strum(serialize = $text)] $variant,)* }

        impl Code {
            /// Every code, in the order of the published table.
            pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

            /// The code as scripts see it.
            #[must_use]
            pub fn name(self) -> &'static str {
                self.into()
            }

            /// The kind of failure it stands for.
            #[must_use]
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            /// One sentence for the published table.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What to do about it, for the published table.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

codes! {
    InvalidValue "invalid_value" Invalid "A value has the wrong form."
        "Correct the value; the hint shows the form.";
    InvalidName "invalid_name" Usage "A name is not allowed: 1 to 64 of a-z, 0-9 and -, not starting or ending with -, no reserved device name."
        "Choose another name.";
    TooLarge "too_large" Invalid "A request's body, or a file, is larger than allowed."
        "Send less at once; send files with `torso db create --from-file`, or to `/v1/uploads`.";
    TooSlow "too_slow" Invalid "A request did not arrive in time."
        "Send it again.";
    InvalidFile "invalid_file" Invalid "A file is not what it should be, or is damaged."
        "Check that it is the file you mean; `torso db import --help` lists the kinds.";
    InvalidCsv "invalid_csv" Invalid "A CSV file has a malformed record."
        "Correct the line that the message names, or give the separator with `--csv-separator`.";
    BackupDamaged "backup_damaged" Invalid "A backup is not what was written, or a part of it is missing. Nothing was restored."
        "Restore another backup: `torso db backups`.";
    BackupKey "backup_key" Invalid "A key for backups has the wrong form, is missing, or is another one."
        "Give the key that the backup was made with: `--key-file`, or `TORSO_BACKUP_KEY`.";
    InvalidSettings "invalid_settings" Invalid "A settings or project file cannot be parsed."
        "Correct the line that the message names; `torso config path` prints the file.";
    Unsupported "unsupported" Unsupported "This control plane cannot do that."
        "Use another context, or another way; the hint names one if there is one.";
    SqlError "sql_error" Sql "SQLite refused a statement."
        "Correct the statement.";
    ReadOnly "read_only" Sql "A write was refused because the database was opened read-only."
        "Write to the primary, without `--read-only`.";
    Unhealthy "unhealthy" Invalid "torso doctor found something wrong."
        "Type what its FIX column says.";
    Internal "internal" Internal "A bug in torso."
        "Report it: SECURITY.md for a weakness, else CONTRIBUTING.md.";
    Io "io" Internal "The operating system refused to read or write a file."
        "Look at the cause: permissions, a missing directory, a full or broken disk.";
    DiskFull "disk_full" Internal "There is no space left on the device."
        "Free space, then run the command again.";
    CatalogDamaged "catalog_damaged" Internal "The catalog cannot be read or breaks its own rules."
        "Restore `catalog.db` from a backup: docs/troubleshooting.md.";
    CatalogTooNew "catalog_too_new" Internal "The catalog was written by a newer torso."
        "Use the newer torso, or restore the backup from before the upgrade.";
    CommandNotStarted "command_not_started" Invalid "The command of `torso run` cannot be started; `run` exits with 127 or 126."
        "Name a program in PATH, or its path, behind `--`.";
    Usage "usage" Usage "The command line is wrong."
        "Look at `--help` of the command.";
    DatabaseNotFound "database_not_found" NotFound "There is no database of that name."
        "`torso db list` shows the names; `torso context list` shows where you are.";
    GroupNotFound "group_not_found" NotFound "There is no group of that name."
        "`torso group list` shows the names.";
    LocationNotFound "location_not_found" NotFound "There is no location of that code."
        "`torso location list` shows the codes.";
    InstanceNotFound "instance_not_found" NotFound "The database has no instance there."
        "`torso db replicas NAME` shows the locations; `torso db replicate` adds one.";
    ContextNotFound "context_not_found" NotFound "There is no context of that name."
        "`torso context list` shows the names; `torso context add` adds one.";
    TableNotFound "table_not_found" NotFound "Neither database has a table of that name."
        "Look at `torso db schema NAME`.";
    FileNotFound "file_not_found" NotFound "There is no such file."
        "Check the path.";
    BackupNotFound "backup_not_found" NotFound "There is no backup of that id, or no backups are there."
        "`torso db backups` shows them; `--in` says where to look.";
    EngineNotFound "engine_not_found" NotFound "There is no libSQL server program on this machine."
        "`torso engine install` gets it.";
    OrganizationNotFound "organization_not_found" NotFound "There is no organization of that name, or you are not a member of it."
        "`torso org list` shows yours.";
    UserNotFound "user_not_found" NotFound "There is no user of that name."
        "`torso org members list` shows the members.";
    TokenNotFound "token_not_found" NotFound "There is no token of that name or id."
        "`torso db tokens list` or `torso auth api-tokens list` shows them.";
    InviteNotFound "invite_not_found" NotFound "There is no invitation of that address."
        "`torso org invites list` shows them.";
    UploadNotFound "upload_not_found" NotFound "There is no upload of that id; it may have been used or given up."
        "Start the upload again.";
    PathNotFound "path_not_found" NotFound "The server has nothing at that path."
        "Check the path: docs/api.md lists them.";
    MethodNotAllowed "method_not_allowed" Usage "The server's path is there, but does not take that method."
        "Use a method that the path takes: docs/api.md lists them.";
    SettingNotFound "setting_not_found" NotFound "There is no setting of that name."
        "`torso config list` shows the settings.";
    Unauthenticated "unauthenticated" Unauthenticated "No token, or one that is not valid."
        "`torso auth login`, or create another token.";
    Forbidden "forbidden" Forbidden "The token does not allow that."
        "Ask an admin of the organization, or use a token with the scope that the message names.";
    DatabaseExists "database_exists" Exists "A database of that name exists already."
        "Choose another name, or add `--if-not-exists`.";
    GroupExists "group_exists" Exists "A group of that name exists already."
        "Choose another name, or add `--if-not-exists`.";
    LocationExists "location_exists" Exists "A location of that code exists already."
        "Choose another code.";
    InstanceExists "instance_exists" Exists "The database has an instance there already."
        "Nothing: the replica is there.";
    OrganizationExists "organization_exists" Exists "An organization of that name exists already."
        "Choose another name.";
    UserExists "user_exists" Exists "A user of that name exists already."
        "Choose another name.";
    MemberExists "member_exists" Exists "The user is a member already."
        "Change the role: `torso org members role`.";
    TokenExists "token_exists" Exists "A token of that name exists already."
        "Choose another name, or revoke that token.";
    InviteExists "invite_exists" Exists "Somebody of that address is invited already."
        "Use that invitation, or remove it: `torso org invites remove`.";
    HostnameTaken "hostname_taken" Exists "The database's hostname would be that of another one."
        "Choose another name.";
    ContextExists "context_exists" Exists "A context of that name exists already."
        "Choose another name, or `torso context remove` the old one.";
    FileExists "file_exists" Exists "The output file exists already."
        "Choose another file, or add `--overwrite`.";
    DeleteProtected "delete_protected" Conflict "Delete protection is on."
        "Turn it off first: `torso db config set NAME delete-protection off`.";
    GroupNotEmpty "group_not_empty" Conflict "The group still has databases."
        "Destroy or move its databases first.";
    LocationInUse "location_in_use" Conflict "Databases or groups use the location."
        "Remove the replicas and databases there first.";
    PrimaryInstance "primary_instance" Conflict "The primary cannot be removed or replicated onto itself."
        "Destroy the whole database, or promote another replica first.";
    Blocked "blocked" Conflict "Reads or writes of the database are blocked."
        "Unblock it, or get below the quota: `torso db config show NAME`, `torso db usage NAME`.";
    SizeLimit "size_limit" Conflict "The database is larger than its size limit."
        "Delete rows, or raise it: `torso db config set NAME size-limit 2gb`.";
    Diverged "diverged" Conflict "Another program changed an instance; its file was set aside."
        "`torso doctor` names the file: compare it with the database, then remove it.";
    MigrationConflict "migration_conflict" Conflict "The files of migrations and what the database records as applied do not fit together."
        "Bring the named file back as it was; put changes into a new migration.";
    Drifted "drifted" Conflict "What there is differs from what the file declares."
        "`torso apply` makes it so; or correct the file.";
    Conflict "conflict" Conflict "The thing is in a state that does not allow this."
        "Read the message; the hint says what to do first.";
    IdempotencyKeyReused "idempotency_key_reused" Conflict "An `Idempotency-Key` came with another request before."
        "Send a new key with every new request; the same key only with the same request.";
    Differs "differs" Conflict "Two databases that were compared differ."
        "Look at the answer; `torso db diff A B --rows TABLE` lists rows.";
    QuotaExceeded "quota_exceeded" Conflict "The organization's plan does not allow more."
        "Delete something, or ask the operator: `torso server quotas set`.";
    Unconfirmed "unconfirmed" Unconfirmed "A destructive command needs --yes where there is no terminal."
        "Add `--yes`.";
    DatabaseBusy "database_busy" Unavailable "Another program holds the database."
        "Close the other program or its transaction, then retry.";
    DatabaseDamaged "database_damaged" Unavailable "The file of a database is missing or damaged, so the database is not served."
        "Restore a backup: docs/troubleshooting.md. Replicas can still be read.";
    CatalogBusy "catalog_busy" Unavailable "Another torso is changing the catalog."
        "Wait for it, then retry.";
    RateLimited "rate_limited" Unavailable "Too many requests in a short time."
        "Retry after the time in `Retry-After`.";
    Unavailable "unavailable" Unavailable "The control plane or engine cannot be reached."
        "Check that the server runs (`torso auth status`), then retry.";
    BackupStorage "backup_storage" Unavailable "The directory or object storage of backups does not do what it is asked."
        "Check the disk, or the address, bucket and keys of the object storage, then retry.";
    TransactionLost "transaction_lost" Unavailable "The server ended an open transaction; what it changed was rolled back."
        "Run the transaction again.";
    Timeout "timeout" Timeout "It took longer than allowed."
        "Retry; raise `--timeout`, or make the work smaller.";
    Partial "partial" Partial "Some parts succeeded, some failed; the result names them."
        "Correct what the result names, then run the command again.";
    Interrupted "interrupted" Interrupted "Interrupted by the user."
        "Run the command again if you want it after all.";
}

/// A failure: a [`Code`], a sentence, perhaps a cause and perhaps a hint that says what to type next.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<String>,
}

impl Error {
    /// `message` is one sentence, starting in lower case and without a full stop, that names the thing.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            cause: None,
            hint: None,
        }))
    }

    /// An error of the operating system while `doing` something. A full disk and a missing file get codes of their own.
    pub fn io(error: std::io::Error, doing: impl fmt::Display) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Code::FileNotFound,
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Code::DiskFull,
            std::io::ErrorKind::Interrupted => Code::Interrupted,
            _ => Code::Io,
        };
        Self::new(code, doing.to_string()).caused_by(error)
    }

    /// Sets the hint: what to type, or look at, next. A later hint replaces it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.code.kind()
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The same error with other words: its message, with those of its causes, and its hint go through `change`.
    #[must_use]
    pub fn map_text(self, change: impl Fn(&str) -> String) -> Self {
        let (message, hint) = (self.full_message(), self.hint_text());
        let (changed, changed_hint) = (change(&message), hint.map(&change));
        if changed == message && changed_hint.as_deref() == hint {
            return self;
        }
        let changed = Self::new(self.code(), changed);
        match changed_hint {
            Some(hint) => changed.hint(hint),
            None => changed,
        }
    }

    /// The HTTP status: the kind's, except for a few codes that have a status of their own.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self.code() {
            Code::MethodNotAllowed => 405,
            Code::TooSlow => 408,
            Code::TooLarge => 413,
            Code::RateLimited => 429,
            code => code.kind().http_status(),
        }
    }

    /// The chain of causes, outermost first, each in its own words: what one says of its own cause is not repeated.
    pub fn causes(&self) -> impl Iterator<Item = String> + '_ {
        let mut next = self.source();
        std::iter::from_fn(move || {
            let cause = next?;
            next = cause.source();
            Some(if let Some(error) = cause.downcast_ref::<Self>() {
                error.message().to_owned()
            } else if let Some(error) = cause.downcast_ref::<rusqlite::Error>() {
                // Its source is the number of what it says.
                next = None;
                error.to_string()
            } else {
                cause.to_string()
            })
        })
    }

    /// Whether the reader of our output has closed the pipe, which is a normal ending.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        let mut next: Option<&(dyn StdError + 'static)> = self.source();
        while let Some(cause) = next {
            let broken = cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
            if broken {
                return true;
            }
            next = cause.source();
        }
        false
    }

    /// The message followed by its causes, on one line.
    #[must_use]
    pub fn full_message(&self) -> String {
        let mut text = self.0.message.clone();
        for cause in self.causes() {
            text.push_str(": ");
            text.push_str(&cause);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full_message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.0.code.name(), self.full_message())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| {
            let cause: &(dyn StdError + 'static) = cause;
            cause
        })
    }
}

/// A path as it is typed in a command, for hints: in quotes where a shell would take it for more than one word.
#[must_use]
pub fn shell_word(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+,:@%".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn error_codes_are_unique() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn error_message_lists_causes_in_order() {
        let inner = std::io::Error::other("no luck");
        let error = Error::new(Code::Io, "cannot write x").caused_by(inner);
        assert_eq!(error.full_message(), "cannot write x: no luck");
    }

    #[test]
    fn error_message_has_each_cause_once() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection
            .execute_batch("create table t (x unique); insert into t values (1)")
            .unwrap();
        let refused = connection.execute_batch("insert into t values (1)").unwrap_err();
        let inner = Error::new(Code::DatabaseBusy, "another program holds x").caused_by(refused);
        let error =
            Error::new(Code::Partial, "app was not destroyed").caused_by(Error::new(Code::Io, "y").caused_by(inner));
        assert_eq!(
            error.full_message(),
            "app was not destroyed: y: another program holds x: UNIQUE constraint failed: t.x"
        );
    }
}
