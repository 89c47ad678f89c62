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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    pub const ALL: [Self; 15] = [
        Self::Invalid,
        Self::Unsupported,
        Self::Sql,
        Self::Internal,
        Self::Usage,
        Self::NotFound,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::Exists,
        Self::Conflict,
        Self::Unconfirmed,
        Self::Unavailable,
        Self::Timeout,
        Self::Partial,
        Self::Interrupted,
    ];

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
        match self {
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::Sql => "sql",
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Exists => "exists",
            Self::Conflict => "conflict",
            Self::Unconfirmed => "unconfirmed",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Partial => "partial",
            Self::Interrupted => "interrupted",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $text:literal $kind:ident $meaning:literal;)*) => {
        /// The published list of error codes. Codes are added, never renamed and never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $meaning] $variant,)* }

        impl Code {
            /// Every code, in the order of the published table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as scripts see it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
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
        }
    };
}

codes! {
    InvalidValue "invalid_value" Invalid "A value has the wrong form.";
    InvalidName "invalid_name" Usage "A name is not allowed: 1 to 64 of a-z, 0-9 and -, not starting or ending with -, no reserved device name.";
    TooLarge "too_large" Invalid "A request's body, or a file, is larger than allowed.";
    TooSlow "too_slow" Invalid "A request did not arrive in time; send it again.";
    InvalidFile "invalid_file" Invalid "A file is not what it should be, or is damaged.";
    InvalidCsv "invalid_csv" Invalid "A CSV file has a malformed record.";
    InvalidSettings "invalid_settings" Invalid "A settings or project file cannot be understood.";
    Unsupported "unsupported" Unsupported "This control plane cannot do that.";
    SqlError "sql_error" Sql "SQLite refused a statement.";
    ReadOnly "read_only" Sql "A write was refused because the database was opened read-only.";
    Unhealthy "unhealthy" Invalid "torso doctor found something wrong.";
    Internal "internal" Internal "A bug in torso; please report it (SECURITY.md, CONTRIBUTING.md).";
    Io "io" Internal "The operating system refused to read or write a file.";
    DiskFull "disk_full" Internal "There is no space left on the device.";
    CatalogDamaged "catalog_damaged" Internal "The catalog cannot be read or breaks its own rules.";
    CatalogTooNew "catalog_too_new" Internal "The catalog was written by a newer torso.";
    Usage "usage" Usage "The command line is wrong.";
    DatabaseNotFound "database_not_found" NotFound "There is no database of that name.";
    GroupNotFound "group_not_found" NotFound "There is no group of that name.";
    LocationNotFound "location_not_found" NotFound "There is no location of that code.";
    InstanceNotFound "instance_not_found" NotFound "The database has no instance there.";
    ContextNotFound "context_not_found" NotFound "There is no context of that name.";
    FileNotFound "file_not_found" NotFound "There is no such file.";
    EngineNotFound "engine_not_found" NotFound "There is no libSQL server program on this machine.";
    OrganizationNotFound "organization_not_found" NotFound "There is no organization of that name, or you are not a member of it.";
    UserNotFound "user_not_found" NotFound "There is no user of that name.";
    TokenNotFound "token_not_found" NotFound "There is no token of that name or id.";
    InviteNotFound "invite_not_found" NotFound "There is no invitation of that address.";
    UploadNotFound "upload_not_found" NotFound "There is no upload of that id; it may have been used or given up.";
    PathNotFound "path_not_found" NotFound "The server has nothing at that path.";
    MethodNotAllowed "method_not_allowed" Usage "The server's path is there, but does not take that method.";
    SettingNotFound "setting_not_found" NotFound "There is no setting of that name.";
    Unauthenticated "unauthenticated" Unauthenticated "No token, or one that is not valid.";
    Forbidden "forbidden" Forbidden "The token does not allow that.";
    DatabaseExists "database_exists" Exists "A database of that name exists already.";
    GroupExists "group_exists" Exists "A group of that name exists already.";
    LocationExists "location_exists" Exists "A location of that code exists already.";
    InstanceExists "instance_exists" Exists "The database has an instance there already.";
    OrganizationExists "organization_exists" Exists "An organization of that name exists already.";
    UserExists "user_exists" Exists "A user of that name exists already.";
    MemberExists "member_exists" Exists "The user is a member already.";
    TokenExists "token_exists" Exists "A token of that name exists already.";
    InviteExists "invite_exists" Exists "Somebody of that address is invited already.";
    HostnameTaken "hostname_taken" Exists "The database's hostname would be that of another one.";
    ContextExists "context_exists" Exists "A context of that name exists already.";
    FileExists "file_exists" Exists "The output file exists already.";
    DeleteProtected "delete_protected" Conflict "Delete protection is on.";
    GroupNotEmpty "group_not_empty" Conflict "The group still has databases.";
    LocationInUse "location_in_use" Conflict "Databases or groups use the location.";
    PrimaryInstance "primary_instance" Conflict "The primary cannot be removed or replicated onto itself.";
    Blocked "blocked" Conflict "Reads or writes of the database are blocked.";
    SizeLimit "size_limit" Conflict "The database is larger than its size limit.";
    Diverged "diverged" Conflict "An instance was changed behind torso's back; its file was kept aside.";
    Conflict "conflict" Conflict "The thing is in a state that does not allow this.";
    QuotaExceeded "quota_exceeded" Conflict "The organization's plan does not allow more.";
    Unconfirmed "unconfirmed" Unconfirmed "A destructive command needs --yes where there is no terminal.";
    DatabaseBusy "database_busy" Unavailable "Another program holds the database.";
    DatabaseDamaged "database_damaged" Unavailable "The file of a database is missing or damaged, so the database is not served.";
    CatalogBusy "catalog_busy" Unavailable "Another torso is changing the catalog.";
    RateLimited "rate_limited" Unavailable "Too many requests in a short time.";
    Unavailable "unavailable" Unavailable "The control plane or engine cannot be reached.";
    TransactionLost "transaction_lost" Unavailable "The server ended an open transaction; what it changed was rolled back.";
    Timeout "timeout" Timeout "It took longer than allowed.";
    Partial "partial" Partial "Some parts succeeded, some failed; the result names them.";
    Interrupted "interrupted" Interrupted "Interrupted by the user.";
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

    /// The chain of causes, outermost first.
    pub fn causes(&self) -> impl Iterator<Item = String> + '_ {
        let mut next: Option<&(dyn StdError + 'static)> = self.0.cause.as_deref().map(|cause| {
            let cause: &(dyn StdError + 'static) = cause;
            cause
        });
        std::iter::from_fn(move || {
            let cause = next?;
            next = cause.source();
            Some(cause.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn causes_are_told_in_order() {
        let inner = std::io::Error::other("no luck");
        let error = Error::new(Code::Io, "cannot write x").caused_by(inner);
        assert_eq!(error.full_message(), "cannot write x: no luck");
    }
}
