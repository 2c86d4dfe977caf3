-- A page of a domain's channels whatever their status, by name and by the time at which they were made; by the time of change
-- it is channels_all.
CREATE INDEX channels_all_names ON channels (domain_id, name, id);
CREATE INDEX channels_all_created ON channels (domain_id, created_at, id);
