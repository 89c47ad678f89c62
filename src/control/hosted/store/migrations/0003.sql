-- Version 3: moves of groups between organizations that have begun.
CREATE TABLE group_moves (
    group_uuid TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    to_organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    copy_uuid TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
