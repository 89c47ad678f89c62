-- The catalog: what is wanted, and nothing that can be observed. One file, `catalog.db`, in the data directory.
--
-- This is the current schema, to be read. A catalog is brought here by the numbered steps in `migrations/`, counted in
-- `PRAGMA user_version`; a test holds the two together. Times are RFC 3339 UTC, sizes bytes, flags 0 or 1.

-- Locations the user added, and directories given to built-in ones. The built-in table is in the program.
CREATE TABLE locations (
    code TEXT PRIMARY KEY,
    -- NULL: a built-in location that was only given a directory.
    description TEXT,
    -- Where instances live; NULL: below the data directory.
    dir TEXT,
    -- Degrees north and east.
    lat REAL,
    lon REAL
) STRICT, WITHOUT ROWID;

-- Databases that share locations and settings.
CREATE TABLE groups (
    uuid TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    primary_location TEXT NOT NULL,
    delete_protection INTEGER NOT NULL DEFAULT 0 CHECK (delete_protection IN (0, 1)),
    created_at TEXT NOT NULL
    -- What a database that is made in it shares a process with.
    , isolation TEXT NOT NULL DEFAULT 'group' CHECK (isolation IN ('group', 'database'))) STRICT, WITHOUT ROWID;

-- Where a group's databases are replicated, beyond its primary location.
CREATE TABLE group_locations (
    group_uuid TEXT NOT NULL REFERENCES groups (uuid) ON DELETE CASCADE,
    location TEXT NOT NULL,
    PRIMARY KEY (group_uuid, location)
) STRICT, WITHOUT ROWID;

-- Logical databases. Storage is named by id; an id is never used again.
CREATE TABLE databases (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    group_uuid TEXT NOT NULL REFERENCES groups (uuid),
    primary_location TEXT NOT NULL,
    -- What it was branched from: kept by value, for the parent may be renamed or destroyed.
    parent_id TEXT,
    parent_name TEXT,
    branched_at TEXT,
    -- 0: unlimited.
    size_limit INTEGER NOT NULL DEFAULT 0 CHECK (size_limit >= 0),
    allow_attach INTEGER NOT NULL DEFAULT 0 CHECK (allow_attach IN (0, 1)),
    block_reads INTEGER NOT NULL DEFAULT 0 CHECK (block_reads IN (0, 1)),
    block_writes INTEGER NOT NULL DEFAULT 0 CHECK (block_writes IN (0, 1)),
    delete_protection INTEGER NOT NULL DEFAULT 0 CHECK (delete_protection IN (0, 1)),
    created_at TEXT NOT NULL,
    -- What its first primary is to be made from: nothing, or the seed file of its id in the staging directory. NULL once
    -- it stands, so that a primary that went missing is never replaced by an empty one.
    origin TEXT CHECK (origin IN ('empty', 'seed'))
    -- 1: it was made with processes of its own, which never changes.
    , isolated INTEGER NOT NULL DEFAULT 0 CHECK (isolated IN (0, 1)),
    -- From when on it may be destroyed for that reason alone. NULL: never.
    expires_at TEXT,
    -- How often it has had another primary on an engine of processes, counted from 1.
    epoch INTEGER NOT NULL DEFAULT 1 CHECK (epoch >= 1)) STRICT, WITHOUT ROWID;

CREATE INDEX databases_by_group ON databases (group_uuid);
CREATE INDEX databases_by_location ON databases (primary_location);

-- Where one database is replicated, beyond what its group wants.
CREATE TABLE database_locations (
    database_id TEXT NOT NULL REFERENCES databases (id) ON DELETE CASCADE,
    location TEXT NOT NULL,
    PRIMARY KEY (database_id, location)
) STRICT, WITHOUT ROWID;

CREATE INDEX database_locations_by_location ON database_locations (location);

-- Databases that a committed change still has to reach. Written with the change, removed when reality agrees.
CREATE TABLE pending (
    database_id TEXT PRIMARY KEY REFERENCES databases (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Instances to be dropped: the only licence to delete data. Outlives its database's row, whose name is free at once.
CREATE TABLE doomed (
    database_id TEXT NOT NULL,
    location TEXT NOT NULL,
    PRIMARY KEY (database_id, location)
) STRICT, WITHOUT ROWID;

-- Requests to a server that have changed this catalog, each written with its change: after a crash they say what was done.
-- Only the newest are kept.
CREATE TABLE applied_requests (
    id INTEGER PRIMARY KEY,
    -- A hash of the request's account and idempotency key.
    mark BLOB NOT NULL UNIQUE CHECK (length(mark) = 32),
    applied_at TEXT NOT NULL
) STRICT;

-- Instances of earlier epochs: what a promotion has left to take over, to remove or, after one without the primary, to set
-- aside. Written with the new epoch, removed when that is done; with the pending databases, the journal of promotions.
CREATE TABLE former_instances (
    database_id TEXT NOT NULL,
    location TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    -- The name of its pool then.
    pool TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('primary', 'replica')),
    -- 1: it may have rows that its successor lacks, so its files are set aside when they are there.
    is_kept INTEGER NOT NULL DEFAULT 0 CHECK (is_kept IN (0, 1)),
    PRIMARY KEY (database_id, location, epoch)
) STRICT, WITHOUT ROWID;

-- One row: a catalog that was made in the place of another one can be told from it.
CREATE TABLE identity (
    -- Random, and the same in all copies.
    id TEXT NOT NULL
) STRICT;
