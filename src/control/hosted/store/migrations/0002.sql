-- Version 2: moves between organizations that have begun.
CREATE TABLE moves (
    database_id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    to_organization_id TEXT NOT NULL,
    copy_id TEXT NOT NULL,
    block_writes INTEGER NOT NULL CHECK (block_writes IN (0, 1))
) STRICT, WITHOUT ROWID;
