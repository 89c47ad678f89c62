-- Version 7: which locations are in use is read without a look at every database.
CREATE INDEX databases_by_location ON databases (primary_location);
CREATE INDEX database_locations_by_location ON database_locations (location);
