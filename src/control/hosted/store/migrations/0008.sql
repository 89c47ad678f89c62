-- Version 8: where clients reach the machine of a location.
ALTER TABLE nodes RENAME TO former_nodes;

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
    token_used_by TEXT,
    -- Where clients reach it, and the domain that the hosts of its databases are below. NULL: it serves nobody, or has none.
    url TEXT,
    domain TEXT
) STRICT, WITHOUT ROWID;

INSERT INTO nodes
SELECT location, created_at, node_id, advertise, joined_at, token_hash, token_expires_at, token_used_by, NULL, NULL
FROM former_nodes;

DROP TABLE former_nodes;
