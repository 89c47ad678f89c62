//! What holds back the writes of clients while something is done to their databases. The gateway has one; files have none.

use super::placement::Placed;
use crate::control::names::DatabaseId;

/// Who holds back the writes of clients while a primary is moved.
pub trait WriteBarrier {
    /// Holds back writes, and returns when those under way have been answered, or after a bound.
    fn close(&self, ids: &[DatabaseId]);
    /// Holds back writes in open transactions as well: no transaction that has written is open any more, and none could write.
    fn block(&self, ids: &[DatabaseId]);
    /// Lets writes go on, to where the databases are now; those that `now` has not, to where they were.
    fn open(&self, ids: &[DatabaseId], now: &[Placed]);
}

/// Clients that nobody stands before: their writes are refused while a primary is moved.
pub struct NoBarrier;

impl WriteBarrier for NoBarrier {
    fn close(&self, _ids: &[DatabaseId]) {}
    fn block(&self, _ids: &[DatabaseId]) {}
    fn open(&self, _ids: &[DatabaseId], _now: &[Placed]) {}
}

/// Writes that are held back until this is dropped, whatever happens.
pub struct HeldWrites<'b> {
    barrier: &'b dyn WriteBarrier,
    ids: Vec<DatabaseId>,
    /// Where the databases are when writes go on.
    pub now: Vec<Placed>,
}

impl<'b> HeldWrites<'b> {
    /// Holds back writes to databases, as [`WriteBarrier::close`].
    pub fn hold(barrier: &'b dyn WriteBarrier, ids: &[DatabaseId]) -> Self {
        barrier.close(ids);
        Self {
            barrier,
            ids: ids.to_vec(),
            now: Vec::new(),
        }
    }

    /// Holds back writes in open transactions of a database as well, as [`WriteBarrier::block`].
    pub fn block(&self, id: &DatabaseId) {
        self.barrier.block(std::slice::from_ref(id));
    }
}

impl Drop for HeldWrites<'_> {
    fn drop(&mut self) {
        self.barrier.open(&self.ids, &self.now);
    }
}
