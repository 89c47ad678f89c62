-- Version 6: schedules of backups.
CREATE TABLE backup_schedules (
    organization_id TEXT NOT NULL,
    group_id TEXT NOT NULL,
    every_seconds INTEGER NOT NULL CHECK (every_seconds > 0),
    retention TEXT NOT NULL,
    PRIMARY KEY (organization_id, group_id)
) STRICT, WITHOUT ROWID;
