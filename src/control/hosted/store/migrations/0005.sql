-- Version 5: requests with idempotency keys, and their answers.
CREATE TABLE idempotent_requests (
    mark BLOB PRIMARY KEY CHECK (length(mark) = 32),
    account TEXT NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    begun_at TEXT NOT NULL,
    applied INTEGER NOT NULL DEFAULT 0 CHECK (applied IN (0, 1)),
    answer BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotent_requests_by_account ON idempotent_requests (account, begun_at);
