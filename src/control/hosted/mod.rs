//! The self-hosted control plane: many organizations on one machine, each with databases of its own, reached over a server.
//!
//! ```text
//! <data>/server.lock            held for life
//! <data>/accounts.db            users, organizations, tokens, the audit log, usage (schema.sql)
//! <data>/keys/                  the key that signs database tokens
//! <data>/organizations/<id>/    an embedded plane for each organization: tenants are separate by construction
//! <data>/uploads/<id>/          uploads under way
//! ```
//!
//! [`Hosted`] is what a server holds. A [`Caller`] is somebody who has shown an API token; [`Hosted::plane`] is what that
//! caller may do in an organization as a [`ControlPlane`], and [`Hosted::accounts`] as [`Accounts`]. The gateway asks
//! [`Hosted::route`], [`Hosted::authorize`] and [`Hosted::endpoint`], which answer from memory.
//!
//! Who may do what is decided in `permission` alone. What is done or refused is written into the audit log by the one
//! place that calls it.

mod access;
mod caller;
mod desk;
mod keeper;
mod keys;
mod labels;
mod moves;
pub mod permission;
mod pool;
mod quotas;
mod store;
mod tenant;
mod uploads;
mod usage;

pub use crate::engine::forbidden;
pub use crate::engine::sqld::{Endpoint, SqldEngine};
pub use crate::engine::writes::writes;
pub use access::Grant;
pub use caller::{Caller, Origin};
pub use labels::{Route, label};
pub use tenant::Export;
pub use uploads::Upload;

use crate::control::ControlPlane;
use crate::control::accounts::{Accounts, AuditEntry, MemberRole, Organization, OrganizationKind, User};
use crate::control::embedded::Embedded;
use crate::control::embedded::lock::{Lock, SERVER as SERVER_LOCK};
use crate::control::names::{DEFAULT_GROUP, DatabaseName, LocationCode, OrganizationSlug, Username};
use crate::control::places;
use crate::control::tokens::Authorization;
use crate::control::types::NewGroup;
use crate::engine::file::FileEngine;
use crate::engine::{Engine, disk};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::sync::lock;
use access::Access;
use caller::Sessions;
use jiff::Timestamp;
use keeper::{Keeper, Progress};
use keys::Signer;
use labels::Labels;
use moves::Moves;
use pool::Pools;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use store::{ApiTokenRow, OrganizationRow, Records, UserRow};
use uploads::Uploads;
use url::Url;
use usage::Traffic;

/// The plan of every organization.
const PLAN: &str = "self-hosted";

/// The user that owns a new server, unless another name is given.
const OWNER: &str = "admin";

/// How to open a hosted plane.
pub struct Options {
    pub data_dir: PathBuf,
    pub engine: Engines,
    /// The only locations that are offered, the default one first. None: what was given at an earlier start, else all.
    pub locations: Option<Vec<LocationCode>>,
    /// The name of the first user, who is made at the first start.
    pub owner: Option<Username>,
    pub public: Public,
}

/// What databases run on.
pub enum Engines {
    /// Plain files, whose URLs are told as they are: for tests of everything but serving.
    Files,
    Sqld(SqldEngine),
}

/// How the outside reaches the server. It decides the hostnames and URLs of databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// Such as `http://127.0.0.1:8080`.
    pub base: Url,
    /// Databases are at `<label>.<domain>` with the base's scheme and port. None: at a path below the base.
    pub domain: Option<String>,
}

/// The plane.
pub struct Hosted {
    shared: Arc<Shared>,
    keeper: Keeper,
}

/// What all parts of the plane use.
struct Shared {
    dir: PathBuf,
    engine: Engines,
    public: Public,
    /// None: all.
    locations: Option<Vec<LocationCode>>,
    records: Mutex<Records>,
    sessions: Sessions,
    pools: Pools,
    labels: Labels,
    access: Access,
    traffic: Traffic,
    uploads: Uploads,
    progress: Progress,
    moves: Moves,
    /// Since organizations were last looked at.
    quotas_changed: AtomicBool,
    _lock: Lock,
}

impl Hosted {
    /// Opens the plane over a data directory. At the first start it makes the owner with a personal organization, and
    /// tells the owner's API token, which is not known later.
    pub fn open(options: Options) -> Result<(Self, Option<Secret>)> {
        let dir = std::path::absolute(&options.data_dir).map_err(|error| {
            Error::io(
                error,
                format!("cannot use the data directory {}", options.data_dir.display()),
            )
        })?;
        // Nothing is made for what cannot be.
        known(options.locations.as_deref().unwrap_or_default())?;
        disk::private_dir(&dir)?;
        let path = dir.join(SERVER_LOCK);
        let held = own(&dir, &path)?;
        let records = Records::open(&dir.join("accounts.db"))?;
        let locations = allowed_locations(&records, options.locations)?;
        let access = Access::open(Signer::open(&dir.join("keys").join("database-tokens.pem"))?, &records)?;
        let shared = Shared {
            pools: Pools::new(dir.join("organizations")),
            uploads: Uploads::new(dir.join("uploads")),
            dir,
            engine: options.engine,
            public: options.public,
            locations,
            records: Mutex::new(records),
            sessions: Sessions::default(),
            labels: Labels::default(),
            access,
            traffic: Traffic::default(),
            progress: Progress::default(),
            moves: Moves::default(),
            quotas_changed: AtomicBool::default(),
            _lock: held,
        };
        let token = shared.first_owner(options.owner)?;
        for organization in shared.records().organizations()? {
            shared.refresh(&organization)?;
        }
        shared.sweep()?;
        let shared = Arc::new(shared);
        let keeper = Keeper::default();
        keeper.start(&shared)?;
        Ok((Self { shared, keeper }, token))
    }

    /// Ends the processes of databases, within 10 seconds, for good.
    pub fn shutdown(&self) {
        self.keeper.stop(&self.shared);
        let _ = self.shared.write_usage();
        self.shared.write_uses();
        if let Engines::Sqld(engine) = &self.shared.engine {
            engine.shutdown();
        }
        self.keeper.wait();
    }

    /// Whether all that is wanted was brought to run after the start, as far as it could be.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready()
    }

    /// Where clients reach the server.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.shared.public.base
    }

    /// Who has a token. From memory, but for the first time.
    pub fn authenticate(&self, bearer: &str, origin: &Origin) -> Result<Caller> {
        self.shared.authenticate(bearer, origin)
    }

    /// An organization as the caller may use it; none: the caller's personal one. For one that the caller is no member
    /// of, `organization_not_found`.
    pub fn plane<'a>(
        &'a self,
        caller: &'a Caller,
        organization: Option<&OrganizationSlug>,
    ) -> Result<Box<dyn ControlPlane + 'a>> {
        Ok(Box::new(self.shared.tenant(caller, organization)?))
    }

    pub fn accounts<'a>(&'a self, caller: &'a Caller) -> Box<dyn Accounts + 'a> {
        Box::new(desk::Desk::new(&self.shared, caller))
    }

    /// What a new organization of the caller's would be; refused where it could not be made. Nothing is changed.
    pub fn plan_organization(&self, caller: &Caller, name: &str) -> Result<Organization> {
        desk::Desk::new(&self.shared, caller).planned(name)
    }

    /// Has the audit log tell of a call that was refused or failed, unless it tells of it already: before a call gets to what
    /// it is about, nothing else does. `what` holds nothing of what was sent. Who is no member of the organization, or named
    /// none, finds it in the own log.
    pub fn note_refusal(&self, caller: &Caller, organization: Option<&str>, what: &str, error: &Error) {
        self.shared.note_refusal(caller, organization, what, error);
    }

    // Files that come and go.

    /// Begins an upload of so many bytes, whose checksum may be told. A SQLite file or a dump, to be used within an hour of
    /// its last piece as [`crate::control::types::Seed::Upload`].
    pub fn begin_upload(
        &self,
        caller: &Caller,
        organization: Option<&OrganizationSlug>,
        size: u64,
        sha256: Option<[u8; 32]>,
    ) -> Result<Upload> {
        self.shared.tenant(caller, organization)?.begin_upload(size, sha256)
    }

    /// Takes a piece of an upload, of `len` bytes at most, that begins at `offset`: at most where what has arrived ends.
    pub fn put_chunk(
        &self,
        caller: &Caller,
        organization: Option<&OrganizationSlug>,
        id: &str,
        offset: u64,
        reader: &mut dyn Read,
        len: u64,
    ) -> Result<Upload> {
        self.shared
            .tenant(caller, organization)?
            .put_chunk(id, offset, reader, len)
    }

    /// How far an upload is.
    pub fn upload(&self, caller: &Caller, organization: Option<&OrganizationSlug>, id: &str) -> Result<Upload> {
        self.shared.tenant(caller, organization)?.upload(id)
    }

    /// Gives an upload up, and forgets what has arrived of it: how far it was.
    pub fn drop_upload(&self, caller: &Caller, organization: Option<&OrganizationSlug>, id: &str) -> Result<Upload> {
        self.shared.tenant(caller, organization)?.drop_upload(id)
    }

    /// Takes a dump whose size is not known before: the upload, and the URL to be told as
    /// [`crate::control::types::Seed::Dump`].
    pub fn adopt_dump(
        &self,
        caller: &Caller,
        organization: Option<&OrganizationSlug>,
        reader: &mut dyn Read,
    ) -> Result<(Upload, String)> {
        self.shared.tenant(caller, organization)?.adopt_dump(reader)
    }

    /// A consistent copy of a database, as a SQLite file.
    pub fn export(
        &self,
        caller: &Caller,
        organization: Option<&OrganizationSlug>,
        name: &DatabaseName,
    ) -> Result<Export> {
        self.shared.tenant(caller, organization)?.export(name)
    }

    /// Makes a new user of whoever has the text of an invitation, and a member of the organization that invited: the user,
    /// and its first API token.
    pub fn accept_invite(&self, invitation: &str, username: &Username) -> Result<(User, Secret)> {
        self.shared.accept(invitation, username)
    }

    /// A new API token for a user who has lost all: for whoever administers the server. Nobody is asked, and the user's audit
    /// log tells of it.
    pub fn issue_token(&self, username: &Username) -> Result<Secret> {
        self.shared.issue(username)
    }

    /// Sets a quota (`databases`, `groups`, `locations`, `storage`) of every organization, or of one. 0 is unlimited. For
    /// whoever administers the server: nobody is asked.
    pub fn set_quota(&self, name: &str, organization: Option<&OrganizationSlug>, value: u64) -> Result<()> {
        self.shared
            .set_quota(name, organization.map(OrganizationSlug::as_str), value)
    }

    // For the gateway.

    /// What is behind a label.
    #[must_use]
    pub fn route(&self, label: &str) -> Option<Arc<Route>> {
        self.shared.labels.route(label)
    }

    /// What the bearer of a database token may do with what is behind a label: `unauthenticated` when nothing.
    pub fn authorize(&self, token: &str, route: &Route) -> Result<Grant> {
        self.shared.access.authorize(token, route)
    }

    /// Where the instance takes SQL: `unavailable` while it does not.
    pub fn endpoint(&self, route: &Route) -> Result<Endpoint> {
        self.shared.sqld()?.endpoint(&route.site)
    }

    /// The same of its primary.
    pub fn primary_endpoint(&self, route: &Route) -> Result<Endpoint> {
        self.shared.sqld()?.endpoint(&route.primary_site)
    }

    /// What its process wants to be shown; valid for some minutes at least, and told to nobody else.
    pub fn internal_token(&self, route: &Route, authorization: Authorization) -> Result<Secret> {
        let engine = self.shared.sqld()?;
        Ok(self.shared.access.internal(engine, &route.id, authorization))
    }
}

impl Hosted {
    /// Notes that an instance was used, and how many bytes of its log were sent to replicas outside.
    pub fn count(&self, route: &Arc<Route>, bytes_synced: u64) {
        self.shared.traffic.add(route, bytes_synced);
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Takes a data directory for this server's own.
fn own(dir: &Path, path: &Path) -> Result<Lock> {
    // Somebody who only looks whether there is a server holds it for a moment.
    for _ in 0..20 {
        if let Some(held) = Lock::try_acquire(path)? {
            return Ok(held);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let who = Lock::holder(path).ok().flatten().unwrap_or_default();
    Err(Error::new(
        Code::Conflict,
        format!(
            "another server (process {who}) uses the data directory {}",
            dir.display()
        ),
    )
    .hint("stop it first, or give this one another directory: TORSO_DATA_DIR"))
}

/// Refuses codes of no place.
fn known(given: &[LocationCode]) -> Result<()> {
    let is_unknown = |code: &&LocationCode| places::find(code.as_str()).is_none() && code.as_str() != places::LOCAL;
    match given.iter().find(is_unknown) {
        None => Ok(()),
        Some(unknown) => Err(
            Error::new(Code::LocationNotFound, format!("there is no location {unknown}"))
                .hint("torso location list shows what there is"),
        ),
    }
}

/// The locations that are offered: as given, and remembered for later starts; else as remembered.
fn allowed_locations(records: &Records, given: Option<Vec<LocationCode>>) -> Result<Option<Vec<LocationCode>>> {
    const SETTING: &str = "locations";
    if let Some(given) = given {
        let text: Vec<_> = given.iter().map(LocationCode::as_str).collect();
        records.write(|| records.set(SETTING, &text.join(",")))?;
        return Ok((!given.is_empty()).then_some(given));
    }
    let Some(text) = records.setting(SETTING)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.split(',')
        .map(str::parse)
        .collect::<Result<Vec<LocationCode>>>()
        .map(Some)
}

impl Shared {
    fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    fn sqld(&self) -> Result<&SqldEngine> {
        match &self.engine {
            Engines::Sqld(engine) => Ok(engine),
            Engines::Files => Err(Error::new(
                Code::Unsupported,
                "databases are files here, and nothing serves them",
            )),
        }
    }

    /// An embedded plane over an organization's directory.
    fn embedded(&self, dir: &Path) -> Result<Embedded> {
        let engine: Box<dyn Engine> = match &self.engine {
            Engines::Files => Box::new(FileEngine::default()),
            Engines::Sqld(engine) => Box::new(engine.clone()),
        };
        Embedded::over(dir, engine)
    }

    /// Where databases go whose place was not chosen.
    fn default_location(&self) -> Result<LocationCode> {
        match self.locations.as_deref() {
            Some([first, ..]) => Ok(first.clone()),
            _ => places::LOCAL.parse(),
        }
    }

    /// Makes the first user, unless there are users.
    fn first_owner(&self, name: Option<Username>) -> Result<Option<Secret>> {
        if !self.records().users()?.is_empty() {
            return Ok(None);
        }
        let name = name.map_or_else(|| OWNER.parse(), Ok)?;
        let (_, token) = self.make_user(&name, "", |_, _| Ok(()))?;
        Ok(Some(token))
    }

    /// Makes a user with a personal organization, a group in it, and an API token; and what else is to be committed with
    /// it.
    fn make_user(
        &self,
        username: &Username,
        email: &str,
        more: impl FnOnce(&Records, &UserRow) -> Result<()>,
    ) -> Result<(UserRow, Secret)> {
        let now = Timestamp::now();
        let user = UserRow {
            id: new_id(),
            username: username.clone(),
            name: String::new(),
            email: email.to_owned(),
            created_at: now,
        };
        let organization = OrganizationRow {
            id: new_id(),
            slug: username.as_str().parse()?,
            name: username.as_str().to_owned(),
            kind: OrganizationKind::Personal,
            plan: PLAN.to_owned(),
            overages: false,
            require_mfa: false,
            created_at: now,
        };
        let text = keys::secret(API_TOKEN)?;
        let token = ApiTokenRow {
            id: new_id(),
            user_id: user.id.clone(),
            name: "first".parse()?,
            prefix: prefix(&text),
            organization_id: None,
            group_uuid: None,
            scopes: Vec::new(),
            created_at: now,
            expires_at: None,
            last_used_at: None,
        };
        {
            let records = self.records();
            records.write(|| {
                if records.user(username.as_str())?.is_some() || records.organization(username.as_str())?.is_some() {
                    return Err(Error::new(Code::UserExists, format!("the name {username} is taken"))
                        .hint("choose another name"));
                }
                records.insert_user(&user)?;
                records.insert_organization(&organization)?;
                records.set_member(&organization.id, &user.id, MemberRole::Owner)?;
                records.insert_api_token(&token, &keys::hash(&text))?;
                more(&records, &user)
            })?;
        }
        self.first_group(&organization)?;
        Ok((user, Secret::new(text)))
    }

    /// A group for databases that are not given one, so that clients find one.
    fn first_group(&self, organization: &OrganizationRow) -> Result<()> {
        let plane = self.plane_of(organization)?;
        plane
            .create_group(&NewGroup {
                name: DEFAULT_GROUP.parse()?,
                location: self.default_location()?,
            })
            .map(drop)
    }

    /// Writes down when tokens were used. A failure loses nothing that matters.
    fn write_uses(&self) {
        let uses = self.sessions.take_uses();
        if !uses.is_empty() {
            let _ = self.records().note_use(&uses);
        }
    }

    /// What is told to a caller of an error: not where the server keeps its files.
    fn discreet(&self, error: Error) -> Error {
        let dir = self.dir.to_string_lossy();
        if !error.full_message().contains(&*dir) && error.hint_text().is_none_or(|hint| !hint.contains(&*dir)) {
            return error;
        }
        let told = Error::new(error.code(), error.full_message().replace(&*dir, "…"));
        match error.hint_text() {
            Some(hint) => told.hint(hint.replace(&*dir, "…")),
            None => told,
        }
    }

    /// Writes an entry into the audit log of an organization. What was done is done, whether or not it can be noted.
    fn note(&self, organization: &str, caller: &Caller, entry: Entry, error: Option<&Error>) {
        let line = AuditEntry {
            code: entry.code.to_owned(),
            message: entry.message,
            origin: caller.origin.client.clone(),
            author: caller.session.username.as_str().to_owned(),
            created_at: Timestamp::now(),
            data: entry.data,
        };
        caller.noted.store(true, Ordering::SeqCst);
        let result = error.map_or("ok", |error| error.code().name());
        let _ = self
            .records()
            .audit(organization, &line, result, &caller.origin.request_id);
    }
}

impl Shared {
    fn note_refusal(&self, caller: &Caller, organization: Option<&str>, what: &str, error: &Error) {
        if caller.noted.load(Ordering::SeqCst) {
            return;
        }
        let session = &caller.session;
        let found = {
            let records = self.records();
            let named = organization.and_then(|text| match records.organization(text) {
                Ok(None) => records.organization_by_id(text).ok().flatten(),
                row => row.ok().flatten(),
            });
            let own = named.filter(|row| {
                records
                    .member(&row.id, &session.user_id)
                    .is_ok_and(|member| member.is_some())
            });
            own.or_else(|| records.organization(session.username.as_str()).ok().flatten())
        };
        if let Some(row) = found {
            self.note(&row.id, caller, Entry::new("refused", what, json!({})), Some(error));
        }
    }
}

/// What the audit log is told of a call.
#[derive(Debug, Clone)]
struct Entry {
    code: &'static str,
    message: String,
    data: serde_json::Value,
}

impl Entry {
    fn new(code: &'static str, message: impl Into<String>, data: serde_json::Value) -> Self {
        Self {
            code,
            message: message.into(),
            data,
        }
    }
}

/// What the text of an API token begins with.
const API_TOKEN: &str = "torso_";

/// What of a token's text its owner is shown later.
fn prefix(text: &str) -> String {
    text.chars().take(API_TOKEN.len() + 8).collect()
}

fn new_id() -> String {
    uuid::Uuid::new_v4().hyphenated().to_string()
}
