-- Version 8: a catalog that was made in the place of another one can be told from it.
CREATE TABLE identity (
    -- Random, and the same in all copies.
    id TEXT NOT NULL
) STRICT;
INSERT INTO identity (id) VALUES (lower(hex(randomblob(16))));
