//! The embedded control plane: databases are SQLite files on this machine, locations are directories, and the catalog is a
//! SQLite file beside them. No account, no server, no network.
//!
//! ```text
//! <data>/catalog.db            what is wanted (schema.sql)
//! <data>/catalog.lock          held by the one process that changes it
//! <data>/databases/            a link to the primary of each database, which is the database's URL
//! <data>/locations/<code>/     instances, named by database id; a location may have a directory elsewhere
//! <data>/staging/              files under construction, and seeds on their way
//! <data>/backups/              what is known of the last backup of each database
//! ```
//!
//! A mutation is: take the lock, finish pending work, check the rules, commit one transaction, reconcile. A reader
//! takes no lock, and nothing is written before the first mutation. The rules are in a file for each noun; this one
//! opens the plane.

mod backups;
mod catalog;
mod check;
#[cfg_attr(not(feature = "server"), allow(dead_code))] // some of its functions are only for organizations
mod databases;
mod elsewhere;
mod forced_promotion;
mod groups;
#[cfg(feature = "server")]
mod hosting;
mod instances;
mod listing;
mod locations;
pub(super) mod lock;
mod marks;
mod placement;
mod primary;
mod promotion;
mod reconcile;
mod replacement;
mod staging;
mod unsupported;
mod verification;
mod view;
mod write_barrier;

use crate::control::idempotency::RequestMark;
use crate::control::names::{DatabaseId, LocationCode};
use crate::engine::file::FileEngine;
use crate::engine::{Engine, disk};
use crate::error::{Code, Error, Result};
use catalog::Catalog;
use lock::Lock;
use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use view::{CatalogView, Change};

#[cfg(feature = "server")]
pub use hosting::{WantedPlacement, seed_path, want_seeds};
pub use placement::Placed;
pub use write_barrier::WriteBarrier;

/// The control plane over one data directory.
pub struct Embedded {
    dir: PathBuf,
    engine: Box<dyn Engine>,
    catalog: OnceCell<Catalog>,
    /// The owner stores more than its quota, so writes are to be blocked. Set by the hosted plane.
    over_quota: Arc<AtomicBool>,
    /// Whose changes the next ones are. Set by the hosted plane.
    mark: Cell<Option<RequestMark>>,
}

impl Embedded {
    /// A plane over a data directory, which need not exist. It reads and writes nothing yet.
    pub fn open(data_dir: &Path) -> Result<Self> {
        let engine = FileEngine::with_links(links_dir(&absolute(data_dir)?));
        Self::over(data_dir, Box::new(engine))
    }

    /// The same with another engine than plain files.
    pub fn over(data_dir: &Path, engine: Box<dyn Engine>) -> Result<Self> {
        Ok(Self {
            dir: absolute(data_dir)?,
            engine,
            catalog: OnceCell::new(),
            over_quota: Arc::default(),
            mark: Cell::default(),
        })
    }

    /// Sets the flag that tells whether writes are to be blocked for the quota.
    #[must_use]
    pub fn with_quota(self, over_quota: Arc<AtomicBool>) -> Self {
        Self { over_quota, ..self }
    }

    /// Applies the wanted limits of every database to the engine. Returns for how many databases that failed.
    pub fn enforce(&self) -> Result<usize> {
        let change = self.change()?;
        let mut failed = 0;
        for row in change.catalog.databases()? {
            let report = change.reach_at(&row.id, &row.primary)?;
            failed += usize::from(!report.failures.is_empty());
        }
        Ok(failed)
    }

    /// Reconciles every database, as after a start of the machine. Returns the failures; later changes try again.
    pub fn reconcile_all(&self) -> Result<Vec<(LocationCode, Error)>> {
        let change = self.change()?;
        Ok(reconcile::all(&change)?.failures)
    }

    fn catalog_path(&self) -> PathBuf {
        self.dir.join("catalog.db")
    }

    fn lock_path(&self) -> PathBuf {
        self.dir.join("catalog.lock")
    }

    fn staging_dir(&self) -> PathBuf {
        self.dir.join("staging")
    }

    /// The path of a database's seed between the commit and its adoption.
    fn seed(&self, id: &DatabaseId) -> PathBuf {
        self.staging_dir().join(format!("{id}.seed"))
    }

    /// Refuses a directory that belongs to a server: its databases must be managed through that.
    fn check_no_server(&self) -> Result<()> {
        let path = self.dir.join(lock::SERVER);
        if !path.exists() {
            return Ok(());
        }
        match Lock::holder(&path)? {
            None => Ok(()),
            Some(pid) => Err(Error::new(
                Code::Conflict,
                format!(
                    "a server (process {pid}) uses the data directory {}",
                    self.dir.display()
                ),
            )
            .hint("torso context add names the server; TORSO_DATA_DIR chooses another directory")),
        }
    }

    /// The catalog for reading; none if there is none yet. Pending work of killed processes is done first.
    fn read(&self) -> Result<Option<CatalogView<'_>>> {
        self.check_no_server()?;
        let catalog = match self.catalog.get() {
            Some(catalog) => catalog,
            None => match Catalog::open(&self.catalog_path())? {
                Some(catalog) => self.catalog.get_or_init(|| catalog),
                None => return Ok(None),
            },
        };
        if !catalog.is_current()? {
            let _lock = Lock::acquire(&self.lock_path())?;
            catalog.migrate()?;
        }
        let view = CatalogView::new(self, catalog)?;
        // If the lock is held, its holder does that work; if it cannot be taken at all (a read-only disk), reading is
        // still possible.
        if catalog.has_work()?
            && let Ok(Some(_lock)) = Lock::try_acquire(&self.lock_path())
        {
            catalog.durable()?;
            let _ = reconcile::resume_pending(&view);
        }
        Ok(Some(view))
    }

    /// The catalog for a change: locked, and without pending work.
    fn change(&self) -> Result<Change<'_>> {
        self.check_no_server()?;
        disk::private_dir(&self.dir)?;
        let lock = Lock::acquire(&self.lock_path())?;
        let catalog = match self.catalog.get() {
            Some(catalog) => catalog,
            None => {
                let catalog = Catalog::prepare(&self.catalog_path())?;
                self.catalog.get_or_init(|| catalog)
            }
        };
        catalog.migrate()?;
        catalog.durable()?;
        let change = Change::new(CatalogView::new(self, catalog)?, lock);
        reconcile::resume_pending(&change)?;
        Ok(change)
    }
}

/// Where the links to primaries are.
fn links_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("databases")
}

fn absolute(data_dir: &Path) -> Result<PathBuf> {
    std::path::absolute(data_dir)
        .map_err(|error| Error::io(error, format!("cannot use the data directory {}", data_dir.display())))
}

#[cfg(test)]
mod tests;
