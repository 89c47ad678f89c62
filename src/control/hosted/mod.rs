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
//! [`Hosted`] is what a server holds. A [`Caller`] is a user authenticated by an API token. [`Hosted::plane`] is an
//! organization as that caller may use it, as a [`ControlPlane`]; [`Hosted::accounts`] are the accounts, as
//! [`Accounts`]. The gateway uses it as a [`GatewayPlane`](crate::control::gateway_plane::GatewayPlane).
//!
//! Who may do what is decided in `permission` alone. The code that asks it also writes the audit log (`audit`).

mod accounts;
mod activity;
mod audit;
mod background;
mod backups;
mod caller;
mod change_counter;
mod configuration;
mod database_tokens;
mod disk_space;
mod former_labels;
mod gateway_access;
mod gauges;
mod hostnames;
mod idempotency;
mod nodes;
mod organization;
pub mod permission;
mod pool;
mod private_paths;
mod process_check;
mod quotas;
mod secrets;
mod sole_database;
mod start;
mod store;
mod transfers;
mod uploads;
mod usage;
mod users;
mod verification;

pub use crate::engine::confine::Confinement;
pub use crate::engine::process::{OnlyDatabase, ProcessLabel, ProcessStatus};
pub use crate::engine::sqld::{EngineSettings, LONGEST_STATEMENT, ProcessBounds, SqldEngine};
pub use backups::{
    BackupPlan, BackupReport, BackupStatus, FailedCopy, RestoredServer, ScheduleStatus, back_up_server,
    check_restore_target, restore_server,
};
pub use caller::{CallOrigin, Caller, ClientPresence};
pub use configuration::LogSwitch;
pub use gauges::InstanceGauge;
pub use idempotency::{CallRequest, KeyedRequest, RequestAccount, RequestStart};
pub use nodes::join_token_fingerprint;
pub use private_paths::PRIVATE_FILE;
pub use sole_database::{PrimaryFiles, SoleDatabase};
pub use uploads::Upload;
pub use verification::{DatabaseVerification, VerificationStatus};

use crate::control::accounts::{ApiToken, Organization, User};
use crate::control::embedded::lock::{Lock, SERVER as SERVER_LOCK};
use crate::control::gateway_plane::{ActivitySource, Export, Public, WriteGate};
use crate::control::names::{DatabaseName, LocationCode, OrganizationSlug, Username};
use crate::control::{Accounts, ControlPlane};
use crate::engine::disk;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::sync::lock;
use audit::{DailyEntries, NewAuditEntry};
use background::{BackgroundProgress, BackgroundTask};
use backups::SharedBackups;
use caller::CallerSessions;
use change_counter::ChangeCounter;
use configuration::SharedLogLevel;
use database_tokens::TokenAuthority;
use disk_space::DiskWatch;
use former_labels::FormerLabels;
use hostnames::Hostnames;
use jiff::Timestamp;
use nodes::Nodes;
use pool::PlanePool;
use secrets::{derive_secret, open_signing_key};
use start::{allowed_locations, is_copy, known, own};
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock};
use store::AccountStore;
use transfers::TransferLocks;
use uploads::Uploads;
use usage::Traffic;
use users::{API_TOKEN, prefix};
use verification::SharedVerification;

/// The billing plan of every organization.
const PLAN: &str = "self-hosted";

/// How to open the plane.
pub struct HostedOptions {
    pub data_dir: PathBuf,
    pub engine: Engines,
    /// The locations to offer, the default one first. None for those of an earlier start, else all.
    pub locations: Option<Vec<LocationCode>>,
    /// The name of the first user, for the first start.
    pub owner: Option<Username>,
    pub public: Public,
}

/// The engine that databases run on.
pub enum Engines {
    /// Plain files, with `file:` URLs: for tests of everything but the gateway.
    Files,
    Sqld(SqldEngine),
}

/// The self-hosted control plane.
pub struct Hosted {
    shared: Arc<Shared>,
    background: BackgroundTask,
}

/// What all parts of the plane share.
struct Shared {
    dir: PathBuf,
    engine: Engines,
    public: Public,
    /// None for all.
    locations: RwLock<Option<Arc<[LocationCode]>>>,
    log_level: SharedLogLevel,
    records: Mutex<AccountStore>,
    sessions: CallerSessions,
    plane_pool: PlanePool,
    hostnames: Hostnames,
    former_labels: FormerLabels,
    write_gate: Arc<WriteGate>,
    nodes: Nodes,
    token_authority: TokenAuthority,
    traffic: Traffic,
    uploads: Uploads,
    /// What the gateway proves with that it gave out a baton.
    stream_secret: [u8; 32],
    /// What answers of requests with idempotency keys are sealed with, beside the key.
    answer_secret: [u8; 32],
    progress: BackgroundProgress,
    transfers: TransferLocks,
    daily_entries: DailyEntries,
    /// Quotas have changed since storage was last checked.
    quotas_changed: AtomicBool,
    activity: OnceLock<Box<dyn ActivitySource>>,
    /// Every request is for this database, where there is only one.
    sole_database: OnceLock<SoleDatabase>,
    backups: SharedBackups,
    verification: SharedVerification,
    disk_watch: DiskWatch,
    /// The data directory was another one at the last start.
    is_copy: bool,
    _lock: Lock,
}

impl Hosted {
    /// Opens the plane over a data directory. At the first start it makes the owner, with a personal organization, and
    /// returns the owner's API token, which is not stored.
    pub fn open(options: HostedOptions) -> Result<(Self, Option<Secret>)> {
        let dir = std::path::absolute(&options.data_dir).map_err(|error| {
            Error::io(
                error,
                format!("cannot use the data directory {}", options.data_dir.display()),
            )
        })?;
        // Checked before anything is made.
        known(options.locations.as_deref().unwrap_or_default())?;
        disk::private_dir(&dir)?;
        let path = dir.join(SERVER_LOCK);
        let held = own(&dir, &path)?;
        let records = AccountStore::open(&dir.join("accounts.db"))?;
        let is_copy = is_copy(&records, &dir)?;
        let locations = allowed_locations(&records, options.locations)?;
        let changes = ChangeCounter::default();
        let nodes = Nodes::open(&records, changes.clone())?;
        let former_labels = FormerLabels::new(records.former_labels(Timestamp::now())?);
        let key_file = dir.join("keys").join("database-tokens.pem");
        let token_authority = TokenAuthority::open(open_signing_key(&key_file)?, &records, changes.clone())?;
        if let Engines::Sqld(engine) = &options.engine {
            // Processes on other machines go on with it after a start.
            engine.use_token_seed(&derive_secret(&key_file, "processes")?)?;
        }
        let shared = Shared {
            plane_pool: PlanePool::new(dir.join("organizations")),
            uploads: Uploads::new(dir.join("uploads")),
            dir,
            engine: options.engine,
            public: options.public,
            locations: RwLock::new(locations),
            log_level: SharedLogLevel::default(),
            records: Mutex::new(records),
            sessions: CallerSessions::default(),
            hostnames: Hostnames::new(changes),
            write_gate: Arc::default(),
            nodes,
            former_labels,
            token_authority,
            traffic: Traffic::default(),
            stream_secret: derive_secret(&key_file, "streams")?,
            answer_secret: derive_secret(&key_file, "answers")?,
            progress: BackgroundProgress::default(),
            transfers: TransferLocks::default(),
            daily_entries: DailyEntries::default(),
            quotas_changed: AtomicBool::default(),
            activity: OnceLock::new(),
            sole_database: OnceLock::new(),
            backups: SharedBackups::default(),
            verification: SharedVerification::default(),
            disk_watch: DiskWatch::default(),
            is_copy,
            _lock: held,
        };
        let token = shared.first_owner(options.owner)?;
        for organization in shared.records().organizations()? {
            shared.refresh(&organization)?;
        }
        shared.sweep()?;
        let shared = Arc::new(shared);
        let background = BackgroundTask::default();
        background.start(&shared)?;
        Ok((Self { shared, background }, token))
    }

    /// Stops the databases' processes, within 10 seconds, for good.
    pub fn shutdown(&self) {
        self.shared.backups.stop();
        self.shared.verification.stop();
        self.background.stop(&self.shared);
        let _ = self.shared.write_usage();
        self.shared.write_uses();
        if let Engines::Sqld(engine) = &self.shared.engine {
            engine.shutdown();
        }
        self.background.wait();
    }

    /// Fails with `unavailable`, and a reason, unless everything that is wanted runs.
    pub fn check_ready(&self) -> Result<()> {
        self.shared.check_ready()
    }

    /// The state of every database process that is wanted.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessStatus> {
        self.shared.processes()
    }

    /// The state of every instance of every database. Reads files of each.
    #[must_use]
    pub fn instance_gauges(&self) -> Vec<InstanceGauge> {
        self.shared.instance_gauges()
    }

    /// How many organizations store more than their quotas.
    #[must_use]
    pub fn organizations_over_quota(&self) -> usize {
        self.shared.organizations_over_quota()
    }

    /// How far this system confines database processes; none where there are no processes.
    #[must_use]
    pub fn confinement(&self) -> Option<Confinement> {
        self.shared.sqld().ok().map(SqldEngine::confinement)
    }

    /// What the operator should know at a start: sentences about settings that leave something out of reach.
    pub fn warnings(&self) -> Result<Vec<String>> {
        self.shared.warnings()
    }

    /// The labels of the databases that are not served because their primary's file is missing or damaged, in order.
    #[must_use]
    pub fn damaged(&self) -> Vec<String> {
        let Engines::Sqld(engine) = &self.shared.engine else {
            return Vec::new();
        };
        let ids = engine.all_damaged().into_keys();
        let mut labels: Vec<_> = ids
            .map(|id| self.shared.hostnames.label_of(&id).unwrap_or(id))
            .collect();
        labels.sort();
        labels
    }

    /// Authenticates an API token: from memory, except for the first time.
    pub fn authenticate(&self, bearer: &str, origin: &CallOrigin) -> Result<Caller> {
        self.shared.authenticate(bearer, origin)
    }

    /// An organization as the caller may use it; without `organization`, the caller's personal one. Fails with
    /// `organization_not_found` if the caller is not a member.
    pub fn plane<'a>(
        &'a self,
        caller: &'a Caller,
        organization: Option<&OrganizationSlug>,
    ) -> Result<Box<dyn ControlPlane + 'a>> {
        Ok(Box::new(self.shared.organization_plane(caller, organization)?))
    }

    /// The organization that the caller's token is limited to; none for a token that is not.
    pub fn organization_of_token(&self, caller: &Caller) -> Result<Option<OrganizationSlug>> {
        let Some(id) = &caller.session.organization_id else {
            return Ok(None);
        };
        let organization = self.shared.records().organization_by_id(id)?;
        Ok(organization.map(|organization| organization.slug))
    }

    pub fn accounts<'a>(&'a self, caller: &'a Caller) -> Box<dyn Accounts + 'a> {
        Box::new(accounts::CallerAccounts::new(&self.shared, caller))
    }

    /// The API tokens that are restricted to an organization, each with the name and address of whoever made it: of all
    /// members for those who manage them, else the caller's own.
    pub fn organization_tokens(
        &self,
        caller: &Caller,
        of: &OrganizationSlug,
    ) -> Result<Vec<(ApiToken, Username, String)>> {
        let all = accounts::CallerAccounts::new(&self.shared, caller).organization_tokens(of)?;
        Ok(all
            .into_iter()
            .map(|(token, user)| (token, user.username, user.email))
            .collect())
    }

    /// A dry run of making an organization: what it would be, or the error. Nothing is changed.
    pub fn plan_organization(&self, caller: &Caller, name: &str) -> Result<Organization> {
        accounts::CallerAccounts::new(&self.shared, caller).planned(name)
    }

    /// Writes a failed call into the audit log, unless it has an entry already: calls that fail early have none. `what`
    /// must not contain anything from the request. If the caller is not a member of the organization, or named none,
    /// the entry is in the log of the caller's personal organization.
    pub fn note_refusal(&self, caller: &Caller, organization: Option<&str>, what: &str, error: &Error) {
        self.shared.note_refusal(caller, organization, what, error);
    }

    // Uploads and exports.

    /// Begins an upload of so many bytes, whose checksum may be told. A SQLite file or a dump, to be used within an hour of
    /// its last piece as [`crate::control::types::Seed::Upload`].
    pub fn begin_upload(
        &self,
        caller: &Caller,
        organization: Option<&OrganizationSlug>,
        size: u64,
        sha256: Option<[u8; 32]>,
    ) -> Result<Upload> {
        self.shared
            .organization_plane(caller, organization)?
            .begin_upload(size, sha256)
    }

    /// Takes a piece of an upload, of at most `len` bytes, beginning at `offset`, which must not leave a gap.
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
            .organization_plane(caller, organization)?
            .put_chunk(id, offset, reader, len)
    }

    /// The state of an upload.
    pub fn upload(&self, caller: &Caller, organization: Option<&OrganizationSlug>, id: &str) -> Result<Upload> {
        self.shared.organization_plane(caller, organization)?.upload(id)
    }

    /// Discards an upload; returns its last state.
    pub fn drop_upload(&self, caller: &Caller, organization: Option<&OrganizationSlug>, id: &str) -> Result<Upload> {
        self.shared.organization_plane(caller, organization)?.drop_upload(id)
    }

    /// Takes a dump whose size is not known before. Returns the upload, and the URL for
    /// [`crate::control::types::Seed::Dump`].
    pub fn adopt_dump(
        &self,
        caller: &Caller,
        organization: Option<&OrganizationSlug>,
        reader: &mut dyn Read,
    ) -> Result<(Upload, String)> {
        self.shared.organization_plane(caller, organization)?.adopt_dump(reader)
    }

    /// A consistent copy of a database, as it is at a location or at its primary, as a SQLite file.
    pub fn export(
        &self,
        caller: &Caller,
        organization: Option<&OrganizationSlug>,
        name: &DatabaseName,
        location: Option<&LocationCode>,
    ) -> Result<Export> {
        self.shared
            .organization_plane(caller, organization)?
            .export(name, location)
    }

    /// Whether an invitation can be accepted.
    pub fn is_invitation_open(&self, invitation: &str) -> Result<bool> {
        self.shared.is_invitation_open(invitation)
    }

    /// Makes a user of the bearer of an invitation, and a member of the organization that invited. Returns the user and
    /// the first API token.
    pub fn accept_invite(
        &self,
        invitation: &str,
        username: &Username,
        request: Option<CallRequest>,
    ) -> Result<(User, Secret)> {
        self.shared.accept(invitation, username, request)
    }

    /// Makes a new API token for a user who has lost all. For the server's administrator: there is no permission check,
    /// but an entry in the user's audit log.
    pub fn issue_token(&self, username: &Username) -> Result<Secret> {
        self.shared.issue(username)
    }

    /// Sets a quota (`databases`, `groups`, `locations`, `storage`) of all organizations, or of one. 0 is unlimited.
    /// For the server's administrator: there is no permission check.
    pub fn set_quota(&self, name: &str, organization: Option<&OrganizationSlug>, value: u64) -> Result<()> {
        self.shared
            .set_quota(name, organization.map(OrganizationSlug::as_str), value)
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    fn records(&self) -> MutexGuard<'_, AccountStore> {
        lock(&self.records)
    }

    fn sqld(&self) -> Result<&SqldEngine> {
        match &self.engine {
            Engines::Sqld(engine) => Ok(engine),
            Engines::Files => Err(Error::new(
                Code::Unsupported,
                "databases are files here, and no process serves them",
            )),
        }
    }

    /// Stores when tokens were last used. A failure loses nothing important.
    fn write_uses(&self) {
        let uses = self.sessions.take_uses();
        if !uses.is_empty() {
            let _ = self.records().note_use(&uses);
        }
    }

    /// An error as callers may see it: without the paths of the server's files.
    fn discreet(&self, error: Error) -> Error {
        error.map_text(|text| private_paths::replace_below(text, &self.dir, PRIVATE_FILE))
    }
}

fn new_id() -> String {
    uuid::Uuid::new_v4().hyphenated().to_string()
}
