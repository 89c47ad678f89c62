//! Objects by name, in a directory or in object storage, for callers that wait.
//!
//! The only file of backups that awaits: `object_store` is asynchronous, and everything above it is not.

use super::{BackupDestination, s3};
use crate::error::{Code, Error, Result};
use crate::net::innermost;
use crate::private_files;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};
use std::fs::File;
use std::path::Path;
use tokio::runtime::Runtime;

/// The most bytes of an object that is read into memory.
const SMALL: usize = 64 << 20;

/// A place for objects.
pub(super) struct ObjectStorage {
    store: Box<dyn ObjectStore>,
    /// What all names begin with.
    prefix: ObjectPath,
    destination: BackupDestination,
    runtime: Runtime,
}

impl ObjectStorage {
    /// Opens a place. A directory has to be there, unless it is to be made with these folders.
    pub fn open(destination: &BackupDestination, folders: &[&str]) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io(error, "cannot start a runtime"))?;
        let (store, prefix) = match destination {
            BackupDestination::Directory(path) => (open_directory(path, folders)?, ""),
            BackupDestination::S3 { bucket, prefix } => (s3::open(bucket)?, prefix.as_str()),
        };
        Ok(Self {
            store,
            prefix: ObjectPath::from(prefix),
            destination: destination.clone(),
            runtime,
        })
    }

    fn path(&self, name: &str) -> ObjectPath {
        self.prefix.parts().chain(ObjectPath::from(name).parts()).collect()
    }

    /// The names of all objects below a folder.
    pub fn list(&self, folder: &str) -> Result<Vec<String>> {
        let folder = self.path(folder);
        let skip = match self.prefix.as_ref() {
            "" => 0,
            prefix => prefix.len() + 1,
        };
        self.runtime.block_on(async {
            let mut names = Vec::new();
            let mut found = self.store.list(Some(&folder));
            while let Some(object) = found.next().await {
                let object = object.map_err(|error| self.failed("list", error))?;
                names.extend(object.location.as_ref().get(skip..).map(str::to_owned));
            }
            Ok(names)
        })
    }

    /// A small object; none if there is none of that name.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        self.runtime.block_on(async {
            match self.store.get(&path).await {
                Ok(object) if object.meta.size > SMALL as u64 => Ok(Some(Vec::new())),
                Ok(object) => match object.bytes().await {
                    Ok(bytes) => Ok(Some(bytes.to_vec())),
                    Err(error) => Err(self.failed("read", error)),
                },
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.failed("read", error)),
            }
        })
    }

    /// Writes a small object, whole or not at all.
    pub fn put(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let path = self.path(name);
        let put = self.runtime.block_on(self.store.put(&path, bytes.into()));
        put.map_err(|error| self.failed("write", error))?;
        self.make_private(name)
    }

    /// Leaves an object in a directory to its owner, and the folders that it is in: they were made with the modes of the umask.
    fn make_private(&self, name: &str) -> Result<()> {
        let BackupDestination::Directory(root) = &self.destination else {
            return Ok(());
        };
        let path = root.join(name);
        let private = File::open(&path).and_then(|file| private_files::make_private(&file));
        let mut folders = path.ancestors().skip(1).take_while(|folder| folder != root);
        private
            .and_then(|()| {
                folders.try_for_each(|folder| match private_files::make_directory_private(folder) {
                    // Somebody else's, who shares it.
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
                    made => made,
                })
            })
            .map_err(|error| Error::io(error, format!("cannot make {} private", path.display())))
    }

    /// The size of an object in bytes; none if there is none.
    pub fn size(&self, name: &str) -> Result<Option<u64>> {
        let path = self.path(name);
        match self.runtime.block_on(self.store.head(&path)) {
            Ok(object) => Ok(Some(object.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", error)),
        }
    }

    /// Removes an object; one that is not there is as good.
    pub fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        match self.runtime.block_on(self.store.delete(&path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", error)),
        }
    }

    /// Removes what is left of a folder whose objects are gone. Only a directory has such things: empty folders, and objects that
    /// were never completed.
    pub fn remove_folder(&self, folder: &str) -> Result<()> {
        let BackupDestination::Directory(path) = &self.destination else {
            return Ok(());
        };
        let path = path.join(folder);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(error, format!("cannot remove {}", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// The names of the folders in a folder.
    pub fn folders(&self, folder: &str) -> Result<Vec<String>> {
        let folder = self.path(folder);
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&folder)));
        let listed = listed.map_err(|error| self.failed("list", error))?;
        let names = listed.common_prefixes.iter().filter_map(ObjectPath::filename);
        Ok(names.map(str::to_owned).collect())
    }

    /// Begins an object that comes in parts. It is not there before it is complete.
    pub fn upload(&self, name: &str) -> Result<ObjectUpload<'_>> {
        let path = self.path(name);
        let upload = self.runtime.block_on(self.store.put_multipart(&path));
        Ok(ObjectUpload {
            upload: upload.map_err(|error| self.failed("write", error))?,
            storage: self,
            name: name.to_owned(),
        })
    }

    /// Begins to read an object. Fails with `backup_damaged` if there is none.
    pub fn read(&self, name: &str) -> Result<ObjectReader<'_>> {
        let path = self.path(name);
        match self.runtime.block_on(self.store.get(&path)) {
            Ok(object) => Ok(ObjectReader {
                stream: object.into_stream(),
                rest: bytes::Bytes::new(),
                storage: self,
            }),
            Err(object_store::Error::NotFound { .. }) => Err(Error::new(
                Code::BackupDamaged,
                "the backup is damaged: its content is missing",
            )
            .hint("choose another backup: torso db backups")),
            Err(error) => Err(self.failed("read", error)),
        }
    }

    /// The error of something that the place did not do.
    fn failed(&self, doing: &str, error: object_store::Error) -> Error {
        let message = format!("cannot {doing} backups in {}", self.destination);
        let cause = describe_cause(&innermost(&error));
        let error = match &self.destination {
            _ if is_denied(&error, &cause) => Error::new(Code::BackupStorage, format!("{message}: access is denied"))
                .hint("check the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what they may do there"),
            BackupDestination::Directory(_) => {
                Error::new(Code::BackupStorage, message).hint("check that the disk is there, writable and not full")
            }
            BackupDestination::S3 { bucket, .. } if cause.contains("NoSuchBucket") => {
                Error::new(Code::BackupStorage, format!("{message}: there is no bucket {bucket}"))
                    .hint("make the bucket, or check its name and AWS_ENDPOINT_URL")
            }
            BackupDestination::S3 { .. } => Error::new(Code::BackupStorage, message)
                .hint("check AWS_ENDPOINT_URL, AWS_REGION and the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        };
        error.caused_by(std::io::Error::other(cause))
    }
}

/// Whether the keys are wrong, or may not do that. Not every operation says so by its kind.
fn is_denied(error: &object_store::Error, cause: &str) -> bool {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    matches!(error, PermissionDenied { .. } | Unauthenticated { .. })
        || ["SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied"]
            .iter()
            .any(|code| cause.starts_with(code))
}

/// What object storage said: the code and the message of its XML document, where there is one.
fn describe_cause(cause: &str) -> String {
    let part = |name: &str| {
        let (_, rest) = cause.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
    };
    match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => cause.to_owned(),
    }
}

/// Opens a directory. One that is made is for its owner alone.
fn open_directory(path: &Path, folders: &[&str]) -> Result<Box<dyn ObjectStore>> {
    let failed = |error| Error::io(error, format!("cannot use {} for backups", path.display()));
    // The files within get the modes that the user's umask gives, so the folder that they are in keeps others out.
    for folder in folders {
        private_files::create_directory(&path.join(folder)).map_err(failed)?;
    }
    if !path.is_dir() {
        return Err(Error::new(
            Code::BackupNotFound,
            format!("there are no backups: {} is no directory", path.display()),
        )
        .hint("torso db backup NAME --to DIR makes one"));
    }
    let store =
        LocalFileSystem::new_with_prefix(path).map_err(|error| failed(std::io::Error::other(innermost(&error))))?;
    Ok(Box::new(store.with_fsync(true)))
}

/// An object that is being written.
pub(super) struct ObjectUpload<'a> {
    upload: Box<dyn MultipartUpload>,
    storage: &'a ObjectStorage,
    name: String,
}

impl ObjectUpload<'_> {
    /// Sends a part, and waits until it is there.
    pub fn put_part(&mut self, part: Vec<u8>) -> Result<()> {
        let put = self.upload.put_part(part.into());
        self.storage
            .runtime
            .block_on(put)
            .map_err(|error| self.storage.failed("write", error))
    }

    /// Makes the object appear.
    pub fn complete(&mut self) -> Result<()> {
        let completed = self.storage.runtime.block_on(self.upload.complete());
        completed.map_err(|error| self.storage.failed("write", error))?;
        self.storage.make_private(&self.name)
    }

    /// Gives the object up, as far as the place can be reached.
    pub fn abort(&mut self) {
        // What cannot be removed costs room, and is removed with the next unfinished backups.
        let _ = self.storage.runtime.block_on(self.upload.abort());
    }
}

/// An object that is being read.
pub(super) struct ObjectReader<'a> {
    stream: BoxStream<'static, object_store::Result<bytes::Bytes>>,
    /// What has arrived and was not read.
    rest: bytes::Bytes,
    storage: &'a ObjectStorage,
}

impl ObjectReader<'_> {
    /// Appends up to `most` bytes, fewer only at the end of the object.
    pub fn read_up_to(&mut self, most: u64, to: &mut Vec<u8>) -> Result<()> {
        let mut missing = usize::try_from(most).unwrap_or(usize::MAX);
        while missing > 0 {
            if self.rest.is_empty() {
                match self.storage.runtime.block_on(self.stream.next()) {
                    None => return Ok(()),
                    Some(Ok(bytes)) => self.rest = bytes,
                    Some(Err(error)) => return Err(self.storage.failed("read", error)),
                }
                continue;
            }
            let taken = self.rest.split_to(missing.min(self.rest.len()));
            to.extend_from_slice(&taken);
            missing -= taken.len();
        }
        Ok(())
    }
}
