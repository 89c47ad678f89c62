-- Version 4: labels that databases had before they were renamed or moved.
CREATE TABLE former_labels (
    label TEXT PRIMARY KEY,
    database_id TEXT NOT NULL,
    location TEXT,
    moved_from TEXT,
    until TEXT NOT NULL
) STRICT, WITHOUT ROWID;
