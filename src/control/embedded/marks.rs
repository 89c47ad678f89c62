//! Marks of requests in the catalog: which of a server's requests have changed it. A mark is written in the transaction of the
//! change itself, so after a crash it says for certain whether the change was made.

use super::Embedded;
use crate::control::idempotency::RequestMark;
use crate::error::Result;

impl Embedded {
    /// Has the changes that follow be marked as a request's; with none, they are nobody's.
    pub fn mark_changes(&self, mark: Option<RequestMark>) {
        self.mark.set(mark);
    }

    /// Whether a request has changed the catalog.
    pub fn has_mark(&self, mark: &RequestMark) -> Result<bool> {
        let Some(view) = self.read()? else { return Ok(false) };
        view.catalog.has_mark(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::DatabaseOperations as _;
    use crate::control::embedded::catalog::marks::KEPT;
    use crate::control::types::CreateDatabase;

    fn request(name: &str) -> CreateDatabase {
        CreateDatabase {
            name: name.parse().unwrap(),
            group: None,
            location: None,
            seed: None,
            size_limit: None,
            expires_at: None,
        }
    }

    #[test]
    fn request_mark_is_there_when_the_change_was_made_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let plane = Embedded::open(dir.path()).unwrap();
        let (one, two) = (RequestMark([1; 32]), RequestMark([2; 32]));
        assert!(!plane.has_mark(&one).unwrap());
        plane.mark_changes(Some(one));
        plane.create_database(&request("a")).unwrap();
        plane.mark_changes(Some(two));
        plane.create_database(&request("a")).unwrap_err();
        plane.mark_changes(None);
        plane.create_database(&request("b")).unwrap();
        assert!(plane.has_mark(&one).unwrap());
        assert!(!plane.has_mark(&two).unwrap());
    }

    #[test]
    fn request_marks_are_bounded_in_number_and_time() {
        let dir = tempfile::tempdir().unwrap();
        let plane = Embedded::open(dir.path()).unwrap();
        plane.create_database(&request("a")).unwrap();
        let change = plane.change().unwrap();
        let mark = |number: i64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            RequestMark(bytes)
        };
        change
            .commit(|catalog| (0..KEPT + 5).try_for_each(|number| catalog.add_mark(&mark(number))))
            .unwrap();
        assert!(!plane.has_mark(&mark(4)).unwrap());
        assert!(plane.has_mark(&mark(5)).unwrap());
        change
            .commit(|catalog| catalog.execute("UPDATE applied_requests SET applied_at = '2020-01-01T00:00:00Z'", []))
            .unwrap();
        assert!(!plane.has_mark(&mark(5)).unwrap());
    }
}
