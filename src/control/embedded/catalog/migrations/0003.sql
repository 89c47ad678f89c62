-- Version 3: databases have URLs that stay, and replicas that nobody can write to. Both are made for those that are there.
INSERT OR IGNORE INTO pending (database_id) SELECT id FROM databases;
