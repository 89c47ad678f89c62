//! `torso doctor` for the embedded plane: finds problems, and repairs what can be repaired without losing data: file
//! modes, stale replicas, pending work, files of dead builders. Files that might hold somebody's rows are reported and
//! never touched.

use super::catalog::databases::DatabaseRow;
use super::lock::Lock;
use super::view::CatalogView;
use super::{Embedded, catalog, staging};
use crate::control::findings::{Finding, Severity};
use crate::control::names::LocationCode;
use crate::control::{MaintenanceOperations, Staging};
use crate::engine::{Damage, InstanceRole, Running, database_of_instance, disk};
use crate::error::{Code, Error, Result, shell_word};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The findings so far.
struct Check {
    findings: Vec<Finding>,
    fix: bool,
}

impl MaintenanceOperations for Embedded {
    fn staging(&self) -> Result<Staging> {
        staging::begin(self)
    }

    fn check(&self, fix: bool) -> Result<Vec<Finding>> {
        let mut check = Check {
            findings: Vec::new(),
            fix,
        };
        linked_sqlite(&mut check);
        let catalog = self.catalog_path();
        let doing = |error| Error::io(error, format!("cannot access {}", catalog.display()));
        if !catalog.try_exists().map_err(doing)? {
            check.add(Severity::Ok, "catalog", "nothing has been created yet".to_owned(), None);
            return Ok(check.findings);
        }
        if let Some(pid) = Lock::holder(&self.lock_path())? {
            check.add(
                Severity::Note,
                "catalog_lock",
                format!("process {pid} is changing the catalog"),
                None,
            );
        }
        modes(self, &mut check)?;
        let looked = if fix {
            self.change().and_then(|change| everything(&change, &mut check))
        } else {
            self.read()
                .and_then(|view| view.map_or(Ok(()), |view| everything(&view, &mut check)))
        };
        match looked {
            Err(error)
                if matches!(
                    error.code(),
                    Code::CatalogDamaged | Code::CatalogTooNew | Code::CatalogBusy | Code::Io
                ) =>
            {
                let hint = error.hint_text().map(str::to_owned);
                check.add(Severity::Error, error.code().name(), error.full_message(), hint);
            }
            looked => looked?,
        }
        Ok(check.findings)
    }
}

impl Check {
    fn add(&mut self, severity: Severity, code: &str, message: String, fix: Option<String>) {
        self.findings.push(Finding {
            code: code.to_owned(),
            severity,
            message,
            fix,
        });
    }

    /// Adds a finding that has been repaired.
    fn mended(&mut self, code: &str, message: String) {
        self.add(Severity::Ok, code, message, None);
    }
}

fn linked_sqlite(check: &mut Check) {
    let (version, sound) = catalog::linked_sqlite();
    if sound {
        check.add(
            Severity::Ok,
            "sqlite_version",
            format!("the linked SQLite is {version}"),
            None,
        );
    } else {
        let message = format!("the linked SQLite is {version}; before 3.51.3 it can lose commits in WAL mode");
        check.add(
            Severity::Error,
            "sqlite_version",
            message,
            Some("install a newer torso".to_owned()),
        );
    }
}

/// Checks that other users cannot read the plane's own directories and files.
fn modes(plane: &Embedded, check: &mut Check) -> Result<()> {
    // A data directory that somebody made is theirs: others may see the names of what torso makes in it, and get no further.
    // Who may write there could put other things in their place.
    private(&plane.dir, 0o700, 0o022, check)?;
    let links = super::links_dir(&plane.dir);
    for dir in [links, plane.dir.join("locations"), plane.staging_dir()] {
        private(&dir, 0o700, 0o077, check)?;
    }
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm", "catalog.lock"] {
        private(&plane.dir.join(file), disk::PRIVATE, 0o077, check)?;
    }
    Ok(())
}

/// Reports a file or directory that has a mode with any of the bits in `refused`, and gives it `mode`.
fn private(path: &Path, mode: u32, refused: u32, check: &mut Check) -> Result<()> {
    let Ok(metadata) = std::fs::metadata(path) else {
        return Ok(());
    };
    let Some(open) = disk::mode(&metadata).filter(|mode| mode & refused != 0) else {
        return Ok(());
    };
    let message = format!("{} has mode {open:03o}, so other users can access it", path.display());
    if check.fix {
        disk::set_mode(path, mode)?;
        check.mended("file_mode", format!("{message}; now it has {mode:03o}"));
    } else {
        check.add(
            Severity::Warning,
            "file_mode",
            message,
            Some(format!("chmod {mode:o} {}", path.display())),
        );
    }
    Ok(())
}

fn everything(view: &CatalogView<'_>, check: &mut Check) -> Result<()> {
    let faults = view.catalog.integrity()?;
    if faults.is_empty() {
        check.add(
            Severity::Ok,
            "catalog",
            format!("the catalog {} is sound", view.plane.catalog_path().display()),
            None,
        );
    }
    for fault in faults {
        check.add(
            Severity::Error,
            "catalog_damaged",
            format!("the catalog is damaged: {fault}"),
            None,
        );
    }
    let rows = view.catalog.databases()?;
    for row in &rows {
        database(view, row, check)?;
    }
    work(view, &rows, check)?;
    orphans(view, &rows, check)?;
    leftovers(view, check)
}

/// Checks one database's instances: do they exist, are they private, are they fresh?
fn database(view: &CatalogView<'_>, row: &DatabaseRow, check: &mut Check) -> Result<()> {
    let Some(primary) = inspect(view, row, &row.primary, check) else {
        return Ok(());
    };
    let name = &row.name;
    match &primary {
        None => {
            let site = view.site(&row.primary, row);
            let files = view.plane.engine.local_files(&site);
            let path = files.map_or_else(|_| site.instance(), |files| files.path(&site).display().to_string());
            let message = format!("the primary of {name} in {} is missing: {path}", row.primary);
            let fix = Some(way_back(view, row, "put the file back")?);
            check.add(Severity::Error, "missing_primary", message, fix);
        }
        Some(Running {
            damage: Some(damage), ..
        }) => damaged(view, row, damage, check)?,
        Some(Running {
            role: InstanceRole::Primary,
            ..
        }) => {}
        Some(_) => {
            let message = format!("the promotion of {name} to {} is not complete", row.primary);
            check.add(
                Severity::Warning,
                "pending_work",
                message,
                Some("torso doctor --fix".to_owned()),
            );
        }
    }
    if primary.as_ref().is_none_or(|primary| primary.damage.is_some()) {
        // Nothing can be copied from it.
        return Ok(());
    }
    link(view, row, check);
    let mut stale = Vec::new();
    for location in view.want(row)?.replicas {
        let Some(replica) = inspect(view, row, &location, check) else {
            continue;
        };
        let is_here = view.plane.engine.local_files(&view.site(&location, row)).is_ok();
        let role = replica.map(|running| running.role);
        if let Some((code, state)) = replica_state(row, primary.as_ref(), role, is_here) {
            stale.push((code, format!("the replica of {name} in {location} {state}")));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let failure = if check.fix { refresh(view, row) } else { None };
    for (code, message) in stale {
        match &failure {
            None if check.fix => check.mended(code, format!("{message}; now it is up to date")),
            Some(error) => check.add(
                Severity::Warning,
                code,
                format!("{message}: {error}"),
                error.hint_text().map(str::to_owned),
            ),
            None => check.add(Severity::Warning, code, message, Some(format!("torso db sync {name}"))),
        }
    }
    Ok(())
}

/// What is wrong with a replica, if something is: the code of the finding, and the end of its sentence.
fn replica_state(
    row: &DatabaseRow,
    primary: Option<&Running>,
    replica: Option<InstanceRole>,
    is_here: bool,
) -> Option<(&'static str, &'static str)> {
    match (replica, primary) {
        (None, _) if is_here => Some(("missing_replica", "is missing")),
        (None, _) => Some(("missing_replica", "was not heard of by this server yet")),
        (Some(InstanceRole::Replica { altered: true, .. } | InstanceRole::Primary | InstanceRole::Promoting), _) => {
            Some(("altered_replica", "was changed by something other than torso"))
        }
        (Some(InstanceRole::Replica { position, of, .. }), Some(primary))
            if position != primary.position || of != row.primary.as_str() =>
        {
            Some(("stale_replica", "is behind its primary"))
        }
        _ => None,
    }
}

/// Checks that the database's URL leads to its primary.
fn link(view: &CatalogView<'_>, row: &DatabaseRow, check: &mut Check) {
    let engine = &view.plane.engine;
    let site = view.site(&row.primary, row);
    if engine.is_linked(&site) {
        return;
    }
    let name = &row.name;
    let message = format!("the URL of {name} would change if its primary moved");
    if !check.fix {
        check.add(
            Severity::Warning,
            "missing_link",
            message,
            Some("torso doctor --fix".to_owned()),
        );
    } else if engine.link(&site).is_ok() && engine.is_linked(&site) {
        check.mended(
            "missing_link",
            format!("{message}; now it has one that stays: {}", engine.stable_url(&site)),
        );
    } else {
        let why = "symbolic links cannot be made in the data directory";
        check.add(Severity::Note, "missing_link", format!("{message}: {why}"), None);
    }
}

fn damaged(view: &CatalogView<'_>, row: &DatabaseRow, damage: &Damage, check: &mut Check) -> Result<()> {
    let site = view.site(&row.primary, row);
    let Ok(files) = view.plane.engine.local_files(&site) else {
        let message = format!("the primary of {} in {} {}", row.name, row.primary, damage.reason);
        let fix = Some(way_back(view, row, "the log of torso node there has the reason")?);
        check.add(Severity::Error, "damaged_primary", message, fix);
        return Ok(());
    };
    let path = files.path(&site);
    let message = format!(
        "the primary of {} in {} is not served, because its file {} {}",
        row.name,
        row.primary,
        path.display(),
        damage.reason
    );
    // Nothing is wrong with what is in it, as far as anybody knows.
    if std::fs::File::open(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
        let fix = format!("check the owner and the mode of {} and its directory", path.display());
        check.add(Severity::Error, "unreadable_primary", message, Some(fix));
        return Ok(());
    }
    let (code, first) = if damage.missing {
        (
            "missing_primary",
            "put the file back (a server must be started again for it)",
        )
    } else {
        (
            "damaged_primary",
            "put a sound file in its place (a server must be started again for it)",
        )
    };
    check.add(Severity::Error, code, message, Some(way_back(view, row, first)?));
    Ok(())
}

/// What can be done about a primary without a file: `first`, or what a replica has, or nothing.
fn way_back(view: &CatalogView<'_>, row: &DatabaseRow, first: &str) -> Result<String> {
    let name = &row.name;
    let again = format!("torso db destroy {name}");
    // What is on another machine can neither become the primary nor be exported from here.
    let is_here = |at: &&LocationCode| view.plane.engine.local_files(&view.site(at, row)).is_ok();
    Ok(match view.want(row)?.replicas.iter().find(is_here) {
        Some(_) if view.plane.engine.has_processes() => {
            format!("{first}, or make a replica the primary: torso db promote {name} --force")
        }
        Some(replica) => format!(
            "{first}, or take what the replica has: torso db export {name} --location {replica}, {again}, torso db create \
             {name} --from-file {name}.db"
        ),
        None => format!("{first}, or {again}"),
    })
}

/// Syncs a database's replicas; the caller holds the lock.
fn refresh(view: &CatalogView<'_>, row: &DatabaseRow) -> Option<Error> {
    match super::reconcile::reconcile(view, &row.id, None) {
        Ok(mut report) => report.take_any(),
        Err(error) => Some(error),
    }
}

/// What is at a location, if that can be found out. Reports a location that is away, and files that others can read.
fn inspect(
    view: &CatalogView<'_>,
    row: &DatabaseRow,
    location: &LocationCode,
    check: &mut Check,
) -> Option<Option<Running>> {
    let site = view.site(location, row);
    match view.plane.engine.running(&site) {
        Ok(mut running) => {
            if let Some(running) = &mut running
                && running.role == InstanceRole::Primary
                && let Ok(damage) = view.plane.engine.examine(&site)
            {
                running.damage = damage;
            }
            if running.is_some()
                && let Ok(files) = view.plane.engine.local_files(&site)
                && let Err(error) = private(&files.path(&site), disk::PRIVATE, 0o077, check)
            {
                check.add(Severity::Warning, "file_mode", error.full_message(), None);
            }
            Some(running)
        }
        Err(error) => {
            let message = format!("{} in {location} cannot be examined: {error}", row.name);
            check.add(
                Severity::Error,
                "location_away",
                message,
                error.hint_text().map(str::to_owned),
            );
            None
        }
    }
}

/// Checks for pending work: opening the catalog has already tried to do it.
fn work(view: &CatalogView<'_>, rows: &[DatabaseRow], check: &mut Check) -> Result<()> {
    let names: BTreeMap<_, _> = rows.iter().map(|row| (&row.id, &row.name)).collect();
    for (id, location) in view.catalog.all_doomed()? {
        let what = names.get(&id).map_or_else(
            || format!("a destroyed database ({id})"),
            |name| format!("a removed replica of {name}"),
        );
        let message = format!("files of {what} in {location} are still to be removed");
        check.add(
            Severity::Warning,
            "pending_work",
            message,
            Some("make its directory reachable, then torso doctor --fix".to_owned()),
        );
    }
    for id in view.catalog.work()? {
        if let Some(name) = names.get(&id) {
            let message = format!("a change of {name} is not complete");
            check.add(
                Severity::Warning,
                "pending_work",
                message,
                Some("torso doctor --fix".to_owned()),
            );
        }
    }
    for (id, former) in view.catalog.retained_instances()? {
        if let Some(name) = names.get(&id) {
            let message = format!("the former primary of {name} in {} has not come back", former.location);
            let fix = "put its disk back if you have it: its file is set aside, and compared with the new primary";
            check.add(Severity::Note, "former_primary_away", message, Some(fix.to_owned()));
        }
    }
    Ok(())
}

/// Looks for unknown files in every directory of a location.
fn orphans(view: &CatalogView<'_>, rows: &[DatabaseRow], check: &mut Check) -> Result<()> {
    let mut expected: BTreeMap<LocationCode, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let want = view.want(row)?;
        for location in want.replicas.into_iter().chain([want.primary]) {
            let instance = view.site(&location, row).instance();
            expected.entry(location).or_default().insert(instance);
        }
    }
    for (id, former) in view.catalog.all_former_instances()? {
        let instance = view.former_site(&id, None, &former).instance();
        expected.entry(former.location).or_default().insert(instance);
    }
    // Of these every instance goes, of whatever epoch.
    let mut doomed: BTreeMap<LocationCode, BTreeSet<String>> = BTreeMap::new();
    for (id, location) in view.catalog.all_doomed()? {
        doomed.entry(location).or_default().insert(id.to_string());
    }
    let all = |of: &BTreeMap<LocationCode, BTreeSet<String>>| of.values().flatten().cloned().collect();
    let links = (super::links_dir(&view.plane.dir), all(&expected), all(&doomed));
    let instances = view.directories().into_iter().map(|(dir, code)| {
        let (here, gone) = code
            .map(|code| (expected.remove(&code), doomed.remove(&code)))
            .unwrap_or_default();
        (dir, here.unwrap_or_default(), gone.unwrap_or_default())
    });
    for (dir, here, gone) in instances.chain([links]) {
        let known = |instance: &str| here.contains(instance) || gone.contains(database_of_instance(instance).0);
        for orphan in view.plane.engine.orphans(&dir, &known)? {
            let (path, word) = (orphan.path.display(), shell_word(&orphan.path));
            if let Some(divergence) = &orphan.divergence {
                let message = format!("{path} is of a former primary, and was set aside: {divergence}");
                let fix = format!("look at it with torso db shell {word}, then delete its directory");
                check.add(Severity::Warning, "diverged_file", message, Some(fix));
            } else if orphan.kept_aside {
                let message = format!("{path} was kept because a program other than torso had changed it");
                let fix = format!("look at it with torso db shell {word}, then delete it");
                check.add(Severity::Warning, "diverged_file", message, Some(fix));
            } else {
                let message = format!("{path} belongs to no database");
                let fix = format!("torso db create NAME --from-file {word} takes it in; or delete it");
                check.add(Severity::Warning, "orphan_file", message, Some(fix));
            }
        }
    }
    Ok(())
}

/// Looks for files that were under construction when a torso was killed. Only under the catalog's lock is it certain
/// that nobody is building them now.
fn leftovers(view: &CatalogView<'_>, check: &mut Check) -> Result<()> {
    for path in staging::leftovers(view.plane)? {
        leftover(&path, "staging_leftover", staging::remove, check)?;
    }
    for dir in view.directories().keys() {
        for path in view.plane.engine.unfinished(dir)? {
            leftover(&path, "unfinished_copy", disk::remove, check)?;
        }
    }
    Ok(())
}

fn leftover(path: &Path, code: &str, remove: fn(&Path) -> Result<()>, check: &mut Check) -> Result<()> {
    let message = format!("{} was left by a torso that was killed", path.display());
    if check.fix {
        remove(path)?;
        check.mended(code, format!("{message}; now it is gone"));
    } else {
        check.add(Severity::Note, code, message, Some("torso doctor --fix".to_owned()));
    }
    Ok(())
}
