-- Version 7: locations on other machines.
CREATE TABLE nodes (
    location TEXT PRIMARY KEY,
    created_at TEXT NOT NULL,
    -- The machine that is it now; NULL: none has joined yet.
    node_id TEXT UNIQUE,
    -- Where it says that others reach it.
    advertise TEXT,
    joined_at TEXT,
    -- The SHA-256 of its last one-time token, until when that can be used, and the SHA-256 of the public key that has used it.
    token_hash BLOB UNIQUE CHECK (length(token_hash) = 32),
    token_expires_at TEXT,
    token_used_by TEXT
) STRICT, WITHOUT ROWID;
