-- Version 4: databases with an end.
ALTER TABLE databases ADD COLUMN expires_at TEXT;
