-- Version 1: locations, groups, databases, replicas, and the two queues of work.

CREATE TABLE locations (
    code TEXT PRIMARY KEY,
    description TEXT,
    dir TEXT,
    lat REAL,
    lon REAL
) STRICT, WITHOUT ROWID;

CREATE TABLE groups (
    uuid TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    primary_location TEXT NOT NULL,
    delete_protection INTEGER NOT NULL DEFAULT 0 CHECK (delete_protection IN (0, 1)),
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE group_locations (
    group_uuid TEXT NOT NULL REFERENCES groups (uuid) ON DELETE CASCADE,
    location TEXT NOT NULL,
    PRIMARY KEY (group_uuid, location)
) STRICT, WITHOUT ROWID;

CREATE TABLE databases (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    group_uuid TEXT NOT NULL REFERENCES groups (uuid),
    primary_location TEXT NOT NULL,
    parent_id TEXT,
    parent_name TEXT,
    branched_at TEXT,
    size_limit INTEGER NOT NULL DEFAULT 0 CHECK (size_limit >= 0),
    allow_attach INTEGER NOT NULL DEFAULT 0 CHECK (allow_attach IN (0, 1)),
    block_reads INTEGER NOT NULL DEFAULT 0 CHECK (block_reads IN (0, 1)),
    block_writes INTEGER NOT NULL DEFAULT 0 CHECK (block_writes IN (0, 1)),
    delete_protection INTEGER NOT NULL DEFAULT 0 CHECK (delete_protection IN (0, 1)),
    created_at TEXT NOT NULL,
    origin TEXT CHECK (origin IN ('empty', 'seed'))
) STRICT, WITHOUT ROWID;

CREATE INDEX databases_by_group ON databases (group_uuid);

CREATE TABLE database_locations (
    database_id TEXT NOT NULL REFERENCES databases (id) ON DELETE CASCADE,
    location TEXT NOT NULL,
    PRIMARY KEY (database_id, location)
) STRICT, WITHOUT ROWID;

CREATE TABLE pending (
    database_id TEXT PRIMARY KEY REFERENCES databases (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE doomed (
    database_id TEXT NOT NULL,
    location TEXT NOT NULL,
    PRIMARY KEY (database_id, location)
) STRICT, WITHOUT ROWID;
