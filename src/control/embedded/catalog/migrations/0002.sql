-- Version 2: databases with processes of their own.
ALTER TABLE groups ADD COLUMN isolation TEXT NOT NULL DEFAULT 'group' CHECK (isolation IN ('group', 'database'));
ALTER TABLE databases ADD COLUMN isolated INTEGER NOT NULL DEFAULT 0 CHECK (isolated IN (0, 1));
