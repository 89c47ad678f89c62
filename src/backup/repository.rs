//! A repository of backups: writing one and checking it, listing them, and reading one back.

use super::content::{self, ContentKey, StoredContent, TransferProgress};
use super::objects::ObjectStorage;
use super::{BackupDestination, BackupId, BackupKey, BackupSubject, Manifest};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// The folder of backups of databases.
const DATABASES: &str = "databases";
/// The folder of backups of groups.
const GROUPS: &str = "groups";
/// The folder of backups of servers.
const SERVERS: &str = "servers";
/// How long a backup may be under way, in hours.
const UNFINISHED: i64 = 24;
const MANIFEST: &str = "manifest";
const CONTENT: &str = "content";

/// A place for backups, and the key that they are written and read with.
pub struct Repository {
    storage: ObjectStorage,
    destination: BackupDestination,
    key: Option<BackupKey>,
}

/// A backup in a list.
#[derive(Debug)]
pub struct ListedBackup {
    pub id: BackupId,
    /// What it is, or why that cannot be said.
    pub manifest: Result<Manifest>,
    /// Whether there was a key to check the manifest with, if it needs one.
    pub is_checked: bool,
}

impl Repository {
    /// Opens a place to read from. Fails with `backup_not_found` if it is a directory that is not there.
    pub fn open(destination: &BackupDestination, key: Option<BackupKey>) -> Result<Self> {
        Self::new(destination, key, &[])
    }

    /// Opens a place to write to, and makes it if it is a directory.
    pub fn create(destination: &BackupDestination, key: Option<BackupKey>) -> Result<Self> {
        Self::new(destination, key, &[DATABASES, GROUPS, SERVERS])
    }

    fn new(destination: &BackupDestination, key: Option<BackupKey>, folders: &[&str]) -> Result<Self> {
        Ok(Self {
            storage: ObjectStorage::open(destination, folders)?,
            destination: destination.clone(),
            key,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn destination(&self) -> &BackupDestination {
        &self.destination
    }

    /// Writes a backup of files that are complete and that nobody changes, which were copied at a time. It is read back and
    /// compared before its manifest is written, so there is a whole backup or none.
    pub fn store(
        &self,
        subject: BackupSubject,
        created_at: Timestamp,
        files: &[&Path],
        progress: &mut TransferProgress<'_>,
    ) -> Result<Manifest> {
        let id = BackupId::new(created_at);
        let folder = folder(&subject, &id);
        let stored = self.store_contents(&id, &folder, files, progress).and_then(|contents| {
            let manifest = Manifest::new(id, created_at, subject, self.key.is_some(), contents);
            self.write_manifest(&folder, &manifest).map(|()| manifest)
        });
        if stored.is_err() {
            // Nobody takes it for a backup, so a failure to remove it only costs room.
            for at in 0..files.len() {
                let _ = self.storage.delete(&format!("{folder}/{}", content_name(at)));
            }
        }
        stored
    }

    /// Stores each file, and reads it back.
    fn store_contents(
        &self,
        id: &BackupId,
        folder: &str,
        files: &[&Path],
        progress: &mut TransferProgress<'_>,
    ) -> Result<Vec<StoredContent>> {
        let mut contents = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let unreadable = |error| Error::io(error, format!("cannot read {}", file.display()));
            let mut from = File::open(file).map_err(unreadable)?;
            let size = from.metadata().map_err(unreadable)?.len();
            let name = content_name(at);
            let key = self.content_key(id, &name);
            let upload = self.storage.upload(&format!("{folder}/{name}"))?;
            let stored = content::store(&name, &mut from, size, key.as_ref(), upload, progress)?;
            self.load(id, folder, &stored, &mut std::io::sink(), &mut |_, _| {
                progress(size, size)
            })?;
            contents.push(stored);
        }
        Ok(contents)
    }

    /// Writes a manifest, and reads it back.
    fn write_manifest(&self, folder: &str, manifest: &Manifest) -> Result<()> {
        let sealed = manifest.seal(self.key.as_ref())?;
        let name = format!("{folder}/{MANIFEST}");
        self.storage.put(&name, sealed.clone())?;
        if self.storage.get(&name)?.is_some_and(|read| read == sealed) {
            return Ok(());
        }
        self.storage.delete(&name)?;
        Err(Error::new(
            Code::BackupStorage,
            format!("{} does not give back what was written to it", self.destination),
        )
        .hint("check the disk or the object storage, then try again"))
    }

    /// The backups of a database, or of all databases, the newest first. One that is damaged is in the list, with the reason;
    /// one that was not completed is not.
    pub fn list(&self, database: Option<&str>) -> Result<Vec<ListedBackup>> {
        match database {
            None => self.list_folder(DATABASES),
            Some(id) => self.list_folder(&format!("{DATABASES}/{id}")),
        }
    }

    /// The backups of servers, likewise.
    pub fn list_servers(&self) -> Result<Vec<ListedBackup>> {
        self.list_folder(SERVERS)
    }

    fn list_folder(&self, folder: &str) -> Result<Vec<ListedBackup>> {
        let mut listed = Vec::new();
        for name in self.storage.list(folder)? {
            let Some(id) = id_of_manifest(&name) else { continue };
            match self.manifest(&name, &id) {
                // Of the place, not of the backup.
                Err(error) if error.code() == Code::BackupStorage => return Err(error),
                // It was deleted since it was listed.
                Err(error) if error.code() == Code::BackupNotFound => {}
                manifest => {
                    let needs_key = manifest.as_ref().is_ok_and(|manifest| manifest.encrypted);
                    listed.push(ListedBackup {
                        id,
                        manifest,
                        is_checked: !needs_key || self.key.is_some(),
                    });
                }
            }
        }
        listed.sort_by(|one, other| other.id.cmp(&one.id));
        Ok(listed)
    }

    /// The newest backup of a database that this key can read and that stays until somebody deletes it.
    pub fn newest_retained(&self, database: &str) -> Result<Option<Manifest>> {
        let all = self.list(Some(database))?;
        let is_meant = |manifest: &Manifest| {
            let expires = manifest.database().is_some_and(|database| database.expires);
            manifest.encrypted == self.key.is_some() && !expires
        };
        Ok(all.into_iter().filter_map(|one| one.manifest.ok()).find(is_meant))
    }

    /// The backup of a database with an id, to be restored.
    ///
    /// # Errors
    ///
    /// `backup_not_found`, `backup_damaged`, and `backup_key` if the key is missing, or is another, or the backup was made without
    /// one although there is a key: it could be anybody's.
    pub fn find(&self, id: &BackupId) -> Result<Manifest> {
        self.find_in(DATABASES, id)
    }

    /// The backup of a server with an id, likewise.
    pub fn find_server(&self, id: &BackupId) -> Result<Manifest> {
        self.find_in(SERVERS, id)
    }

    fn find_in(&self, kind: &str, id: &BackupId) -> Result<Manifest> {
        let end = format!("/{id}/{MANIFEST}");
        let Some(name) = self.storage.list(kind)?.into_iter().find(|name| name.ends_with(&end)) else {
            return Err(Error::new(
                Code::BackupNotFound,
                format!("there is no backup {id} in {}", self.destination),
            )
            .hint("torso db backups shows what there is"));
        };
        self.check_key(self.manifest(&name, id)?)
    }

    /// Whether what is written here is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.key.is_some()
    }

    /// Refuses a manifest that the key, or the lack of one, does not fit.
    pub fn check_key(&self, manifest: Manifest) -> Result<Manifest> {
        let id = &manifest.id;
        match (manifest.encrypted, &self.key) {
            (true, Some(_)) | (false, None) => Ok(manifest),
            (true, None) => Err(Error::new(Code::BackupKey, format!("backup {id} is encrypted"))
                .hint("give its key: --key-file PATH, or TORSO_BACKUP_KEY")),
            (false, Some(_)) => Err(Error::new(
                Code::BackupKey,
                format!("backup {id} is not encrypted, and there is a key: whoever can write there may have made it"),
            )
            .hint("to restore it all the same, leave out --key-file and TORSO_BACKUP_KEY")),
        }
    }

    /// The backups of one server that this key can read, the newest first.
    pub fn backups_of_server(&self, server: &str) -> Result<Vec<Manifest>> {
        let is_ours = |manifest: &Manifest| {
            manifest.encrypted == self.key.is_some() && manifest.server().is_some_and(|of| of.server == server)
        };
        let all = self.list_servers()?.into_iter().filter_map(|one| one.manifest.ok());
        Ok(all.filter(is_ours).collect())
    }

    /// The backups of groups of one server that this key can read, the newest first.
    pub fn backups_of_groups(&self, server: &str) -> Result<Vec<Manifest>> {
        let is_ours = |manifest: &Manifest| {
            manifest.encrypted == self.key.is_some() && manifest.group().is_some_and(|of| of.server == server)
        };
        let all = self
            .list_folder(GROUPS)?
            .into_iter()
            .filter_map(|one| one.manifest.ok());
        Ok(all.filter(is_ours).collect())
    }

    /// The backup of a database with an id, which is known to be one of that database. Errors as of [`Self::find`].
    pub fn get(&self, database: &str, id: &BackupId) -> Result<Manifest> {
        let name = format!("{DATABASES}/{database}/{id}/{MANIFEST}");
        self.check_key(self.manifest(&name, id)?)
    }

    fn manifest(&self, name: &str, id: &BackupId) -> Result<Manifest> {
        let Some(sealed) = self.storage.get(name)? else {
            return Err(Error::new(
                Code::BackupNotFound,
                format!("backup {id} was removed just now"),
            ));
        };
        let manifest = Manifest::open(&sealed, self.key.as_ref())?;
        // It is sealed with what it says about itself, and must not stand for another.
        let expected = format!("{}/{MANIFEST}", folder(&manifest.subject, &manifest.id));
        if expected != name {
            return Err(Error::new(
                Code::BackupDamaged,
                format!("the manifest of backup {id} is that of another backup"),
            )
            .hint("choose another backup: torso db backups"));
        }
        Ok(manifest)
    }

    /// Writes what a backup of a database has to a file. What fails leaves no file.
    pub fn fetch(&self, manifest: &Manifest, to: &Path, progress: &mut TransferProgress<'_>) -> Result<()> {
        self.fetch_content(manifest, 0, to, progress)
    }

    /// Writes one of the contents of a backup to a file. What fails leaves no file.
    pub fn fetch_content(
        &self,
        manifest: &Manifest,
        at: usize,
        to: &Path,
        progress: &mut TransferProgress<'_>,
    ) -> Result<()> {
        let Some(stored) = manifest
            .contents
            .get(at)
            .filter(|stored| stored.name == content_name(at))
        else {
            return Err(Error::new(
                Code::BackupDamaged,
                format!("the manifest of backup {} lacks a part", manifest.id),
            )
            .hint("choose another backup: torso db backups"));
        };
        let failed = |error| Error::io(error, format!("cannot write {}", to.display()));
        let mut file = File::create(to).map_err(failed)?;
        let folder = folder(&manifest.subject, &manifest.id);
        let fetched = self
            .load(&manifest.id, &folder, stored, &mut file, progress)
            .and_then(|()| file.flush().and_then(|()| file.sync_all()).map_err(failed));
        if fetched.is_err() {
            // The error says what is wrong; a file that stays is not used.
            let _ = std::fs::remove_file(to);
        }
        fetched
    }

    /// Whether all contents of a backup are there in their size, so that a new one would have nothing more.
    pub fn has_contents(&self, manifest: &Manifest) -> Result<bool> {
        let folder = folder(&manifest.subject, &manifest.id);
        for stored in &manifest.contents {
            if self.storage.size(&format!("{folder}/{}", stored.name))? != Some(stored.stored_bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a backup back, and compares all of it with what was stored. Fails with `backup_damaged` if it differs, and with
    /// `backup_key` if it cannot be read with this key.
    pub fn check(&self, manifest: &Manifest, progress: &mut TransferProgress<'_>) -> Result<()> {
        self.check_key(manifest.clone())?;
        let folder = folder(&manifest.subject, &manifest.id);
        for stored in &manifest.contents {
            self.load(&manifest.id, &folder, stored, &mut std::io::sink(), progress)?;
        }
        Ok(())
    }

    /// Fails with `backup_damaged` unless all contents of a backup are there in their size. They are not read.
    pub fn check_sizes(&self, manifest: &Manifest) -> Result<()> {
        if self.has_contents(manifest)? {
            return Ok(());
        }
        Err(Error::new(
            Code::BackupDamaged,
            "the backup is damaged: its content is missing or has another size",
        )
        .hint("choose another backup: torso db backups"))
    }

    /// Removes a backup: its manifest first, so that nothing of it is ever taken for a whole one.
    pub fn delete(&self, manifest: &Manifest) -> Result<()> {
        let folder = folder(&manifest.subject, &manifest.id);
        self.storage.delete(&format!("{folder}/{MANIFEST}"))?;
        manifest
            .contents
            .iter()
            .try_for_each(|stored| self.storage.delete(&format!("{folder}/{}", stored.name)))?;
        self.storage.remove_folder(&folder)
    }

    /// Removes a backup of a database, of which no more than the id is known.
    pub fn delete_of_database(&self, database: &str, id: &BackupId) -> Result<()> {
        let folder = format!("{DATABASES}/{database}/{id}");
        self.storage.delete(&format!("{folder}/{MANIFEST}"))?;
        self.storage.delete(&format!("{folder}/{}", content_name(0)))?;
        self.storage.remove_folder(&folder)
    }

    /// Removes what killed programs left of backups of a database that were never completed. Those of the last day stay: they
    /// may be under way.
    pub fn remove_unfinished(&self, database: &str) -> Result<()> {
        self.remove_unfinished_in(&format!("{DATABASES}/{database}"))
    }

    /// The same of backups of servers.
    pub fn remove_unfinished_of_servers(&self) -> Result<()> {
        self.remove_unfinished_in(SERVERS)
    }

    fn remove_unfinished_in(&self, kind: &str) -> Result<()> {
        for name in self.storage.folders(kind)? {
            let Ok(id) = name.parse::<BackupId>() else { continue };
            let folder = format!("{kind}/{id}");
            let objects = if id.is_older_than(UNFINISHED) {
                self.storage.list(&folder)?
            } else {
                continue;
            };
            let manifest = format!("{folder}/{MANIFEST}");
            if objects.contains(&manifest) {
                continue;
            }
            objects.iter().try_for_each(|object| self.storage.delete(object))?;
            self.storage.remove_folder(&folder)?;
        }
        Ok(())
    }

    fn load(
        &self,
        id: &BackupId,
        folder: &str,
        stored: &StoredContent,
        to: &mut dyn std::io::Write,
        progress: &mut TransferProgress<'_>,
    ) -> Result<()> {
        let object = self.storage.read(&format!("{folder}/{}", stored.name))?;
        content::load(
            stored,
            self.content_key(id, &stored.name).as_ref(),
            object,
            to,
            progress,
        )
    }

    fn content_key(&self, id: &BackupId, name: &str) -> Option<ContentKey> {
        self.key.as_ref().map(|key| ContentKey {
            key: key.of_content(),
            context: format!("torso backup {id} {name}"),
        })
    }
}

/// Where a backup's objects are.
fn folder(subject: &BackupSubject, id: &BackupId) -> String {
    match subject {
        BackupSubject::Database(database) => format!("{DATABASES}/{}/{id}", database.id),
        BackupSubject::Group(group) => format!("{GROUPS}/{}/{id}", group.id),
        BackupSubject::Server(_) => format!("{SERVERS}/{id}"),
    }
}

/// The last part of the name of one of a backup's objects.
fn content_name(at: usize) -> String {
    match at {
        0 => CONTENT.to_owned(),
        _ => format!("{CONTENT}-{at}"),
    }
}

/// The backup whose manifest has a name, if that is the name of one.
fn id_of_manifest(name: &str) -> Option<BackupId> {
    let folder = name.strip_suffix(MANIFEST)?.strip_suffix('/')?;
    folder.rsplit_once('/')?.1.parse().ok()
}
