//! Requests with idempotency keys, and their sealed answers.

use super::AccountStore;
use crate::control::idempotency::{REMEMBERED, RequestMark};
use crate::error::Result;
use jiff::Timestamp;
use rusqlite::params;

/// What is known of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct IdempotentRequestRow {
    pub fingerprint: [u8; 32],
    /// It has changed the accounts.
    pub applied: bool,
    pub answer: Option<Vec<u8>>,
}

fn oldest() -> String {
    let since = Timestamp::now().saturating_sub(REMEMBERED);
    since.unwrap_or(Timestamp::MIN).to_string()
}

impl AccountStore {
    /// Has the changes that follow be marked as a request's; with none, they are nobody's.
    pub fn mark_changes(&self, mark: Option<RequestMark>) {
        self.mark.set(mark);
    }

    /// Runs `change` in one transaction, with the mark of the request that asked for it; on disk when this returns.
    pub fn write<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        self.store.write(|| {
            if let Some(mark) = self.mark.get() {
                self.execute("UPDATE idempotent_requests SET applied = 1 WHERE mark = ?1", [mark.0])?;
            }
            change()
        })
    }

    /// The request of a mark, unless it is too old.
    pub fn idempotent_request(&self, mark: &RequestMark) -> Result<Option<IdempotentRequestRow>> {
        self.row(
            "SELECT fingerprint, applied, answer FROM idempotent_requests WHERE mark = ?1 AND begun_at >= ?2",
            params![mark.0, oldest()],
            |row| {
                Ok(IdempotentRequestRow {
                    fingerprint: row.get(0)?,
                    applied: row.get(1)?,
                    answer: row.get(2)?,
                })
            },
        )
    }

    pub fn insert_idempotent_request(&self, mark: &RequestMark, account: &str, fingerprint: &[u8; 32]) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO idempotent_requests (mark, account, fingerprint, begun_at) VALUES (?1, ?2, ?3, ?4)",
            params![mark.0, account, fingerprint, Timestamp::now().to_string()],
        )?;
        Ok(())
    }

    pub fn set_answer(&self, mark: &RequestMark, answer: &[u8]) -> Result<()> {
        self.execute(
            "UPDATE idempotent_requests SET answer = ?2 WHERE mark = ?1",
            params![mark.0, answer],
        )?;
        Ok(())
    }

    /// Removes what is too old, and of an account all but the newest requests: so many, and so many bytes of answers.
    pub fn sweep_idempotent_requests(&self, account: &str, most: i64, most_bytes: i64) -> Result<()> {
        self.execute("DELETE FROM idempotent_requests WHERE begun_at < ?1", [oldest()])?;
        self.execute(
            "DELETE FROM idempotent_requests WHERE account = ?1 AND begun_at <= (
                 SELECT max(begun_at) FROM (
                     SELECT begun_at, row_number() OVER newest AS number,
                         sum(coalesce(length(answer), 0)) OVER newest AS bytes
                     FROM idempotent_requests WHERE account = ?1 WINDOW newest AS (ORDER BY begun_at DESC)
                 ) WHERE number > ?2 OR bytes > ?3)",
            params![account, most, most_bytes],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn open(dir: &Path) -> AccountStore {
        AccountStore::open(&dir.join("accounts.db")).unwrap()
    }

    #[test]
    fn idempotent_request_is_marked_by_the_change_that_commits() {
        let dir = tempfile::tempdir().unwrap();
        let records = open(dir.path());
        let mark = RequestMark([7; 32]);
        records.insert_idempotent_request(&mark, "me", &[1; 32]).unwrap();
        let applied = || records.idempotent_request(&mark).unwrap().unwrap().applied;
        records.write(|| records.set("a", "1")).unwrap();
        assert!(!applied());
        records.mark_changes(Some(mark));
        let refused: Result<()> = records.write(|| Err(crate::error::Error::new(crate::error::Code::Conflict, "no")));
        assert!(refused.is_err() && !applied());
        records.write(|| records.set("a", "2")).unwrap();
        assert!(applied());
    }

    #[test]
    fn idempotent_requests_are_bounded_in_number_bytes_and_time() {
        let dir = tempfile::tempdir().unwrap();
        let records = open(dir.path());
        let add = |number: u8, account: &str, bytes: usize| {
            let mark = RequestMark([number; 32]);
            records.insert_idempotent_request(&mark, account, &[0; 32]).unwrap();
            records.set_answer(&mark, &vec![0; bytes]).unwrap();
        };
        let left = || {
            let read = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0);
            let mut marks: Vec<u8> = records
                .rows("SELECT mark FROM idempotent_requests", [], read)
                .unwrap()
                .iter()
                .map(|mark| mark[0])
                .collect();
            marks.sort_unstable();
            marks
        };
        (0..10).for_each(|number| add(number, "me", 10));
        add(100, "other", 10);
        records.sweep_idempotent_requests("me", 5, 1_000).unwrap();
        assert_eq!(left(), [5, 6, 7, 8, 9, 100]);
        records.sweep_idempotent_requests("me", 5, 25).unwrap();
        assert_eq!(left(), [8, 9, 100]);
        let old = "UPDATE idempotent_requests SET begun_at = '2020-01-01T00:00:00Z' WHERE account = 'other'";
        records.execute(old, []).unwrap();
        assert_eq!(records.idempotent_request(&RequestMark([100; 32])).unwrap(), None);
        records.sweep_idempotent_requests("me", 5, 25).unwrap();
        assert_eq!(left(), [8, 9]);
    }
}
