-- Version 6: epochs, and instances of earlier ones.
ALTER TABLE databases ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1 CHECK (epoch >= 1);

CREATE TABLE former_instances (
    database_id TEXT NOT NULL,
    location TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    pool TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('primary', 'replica')),
    is_kept INTEGER NOT NULL DEFAULT 0 CHECK (is_kept IN (0, 1)),
    PRIMARY KEY (database_id, location, epoch)
) STRICT, WITHOUT ROWID;
