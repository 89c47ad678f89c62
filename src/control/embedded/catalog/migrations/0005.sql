-- Version 5: requests to a server that have changed the catalog.
CREATE TABLE applied_requests (
    id INTEGER PRIMARY KEY,
    mark BLOB NOT NULL UNIQUE CHECK (length(mark) = 32),
    applied_at TEXT NOT NULL
) STRICT;
