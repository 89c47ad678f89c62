-- Who uses the server and what was done: users, organizations, tokens, the audit log, usage. One file, `accounts.db`, in
-- the server's data directory. What databases there are is in each organization's own catalog: the schema of that is
-- `control/embedded/catalog/schema.sql`.
--
-- This is the current schema, to be read. A file is brought here by the numbered steps in `migrations/`, counted in
-- `PRAGMA user_version`; a test holds the two together. Times are RFC 3339 UTC, sizes bytes, flags 0 or 1. No secret is in
-- it: of API tokens and invitations only the SHA-256 of their text, of database tokens only their ids.

-- What the administrator chose: `locations`, `quota.databases` and the like.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The slug of a personal one is its user's name.
CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('personal', 'team')),
    plan TEXT NOT NULL,
    overages INTEGER NOT NULL DEFAULT 0 CHECK (overages IN (0, 1)),
    require_mfa INTEGER NOT NULL DEFAULT 0 CHECK (require_mfa IN (0, 1)),
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'owner')),
    PRIMARY KEY (organization_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_user ON members (user_id);

-- Invitations that were not accepted yet.
CREATE TABLE invites (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'owner')),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    UNIQUE (organization_id, email)
) STRICT;

CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- The first characters of its text, for its owner to tell it by.
    prefix TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- The only organization, and the only group in it, that it opens.
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    group_uuid TEXT,
    -- Joined by spaces; empty: everything.
    scopes TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    expires_at TEXT,
    -- Kept lazily.
    last_used_at TEXT,
    UNIQUE (user_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX api_tokens_by_organization ON api_tokens (organization_id);

-- Database tokens that were made and have not expired.
CREATE TABLE database_tokens (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- NULL: it opens the whole group.
    database_id TEXT,
    group_uuid TEXT NOT NULL,
    name TEXT,
    authorization TEXT NOT NULL CHECK (authorization IN ('full-access', 'read-only')),
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at TEXT,
    -- From then on it opens nothing.
    revoked_at TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX database_tokens_by_database ON database_tokens (database_id);
CREATE INDEX database_tokens_by_group ON database_tokens (group_uuid);

-- What was done, or refused. An organization's entries outlive it.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id TEXT NOT NULL,
    at TEXT NOT NULL,
    author TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    origin TEXT NOT NULL,
    -- `ok`, or the code of the error.
    result TEXT NOT NULL,
    request_id TEXT NOT NULL,
    -- What it was done to: JSON.
    data TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_organization ON audit (organization_id, id);

-- What instances used on a day (UTC): sums of differences between readings of their processes' counters.
CREATE TABLE usage (
    database_id TEXT NOT NULL,
    location TEXT NOT NULL,
    day TEXT NOT NULL,
    rows_read INTEGER NOT NULL DEFAULT 0,
    rows_written INTEGER NOT NULL DEFAULT 0,
    bytes_synced INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (database_id, location, day)
) STRICT, WITHOUT ROWID;

-- The last readings. A counter that is smaller than its last reading began anew.
CREATE TABLE counters (
    database_id TEXT NOT NULL,
    location TEXT NOT NULL,
    rows_read INTEGER NOT NULL,
    rows_written INTEGER NOT NULL,
    PRIMARY KEY (database_id, location)
) STRICT, WITHOUT ROWID;

-- Databases that are on their way to another organization: what is cut short is undone from here.
CREATE TABLE moves (
    database_id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    to_organization_id TEXT NOT NULL,
    -- The id that its copy there has, or was to have.
    copy_id TEXT NOT NULL,
    -- Whether its writes were blocked before.
    block_writes INTEGER NOT NULL CHECK (block_writes IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Groups of which some databases may be in another organization already: the same call, made again, moves the others.
CREATE TABLE group_moves (
    group_uuid TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    to_organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- The group there.
    copy_uuid TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

-- Labels that databases had before they were renamed or moved to another organization.
CREATE TABLE former_labels (
    label TEXT PRIMARY KEY,
    -- The database that it had, or the copy that took that one's place.
    database_id TEXT NOT NULL,
    -- Of an instance's label.
    location TEXT,
    -- The organization that the database was in; NULL: it was renamed, and the label leads to it still.
    moved_from TEXT,
    until TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- When backups are made, and which are kept. Where both ids are empty, it is of the whole server, else of a group.
CREATE TABLE backup_schedules (
    organization_id TEXT NOT NULL,
    group_id TEXT NOT NULL,
    every_seconds INTEGER NOT NULL CHECK (every_seconds > 0),
    retention TEXT NOT NULL,
    PRIMARY KEY (organization_id, group_id)
) STRICT, WITHOUT ROWID;

-- Requests with idempotency keys of the last 24 hours, and their answers.
CREATE TABLE idempotent_requests (
    -- A hash of account and key.
    mark BLOB PRIMARY KEY CHECK (length(mark) = 32),
    -- Whose keys these are: a user's id, or what stands for the bearer of an invitation.
    account TEXT NOT NULL,
    -- A hash of what was requested.
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    begun_at TEXT NOT NULL,
    -- 1: it has changed this file. Written with the change.
    applied INTEGER NOT NULL DEFAULT 0 CHECK (applied IN (0, 1)),
    -- Sealed with the key, which is not stored. NULL: there is none yet, or it was too long.
    answer BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotent_requests_by_account ON idempotent_requests (account, begun_at);

-- Locations on other machines.
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
