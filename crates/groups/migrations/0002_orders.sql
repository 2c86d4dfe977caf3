-- A page of a domain's groups whatever their status, by name and by the time at which they were made; by the time of change
-- it is groups_all.
CREATE INDEX groups_all_names ON groups (domain_id, name, id);
CREATE INDEX groups_all_created ON groups (domain_id, created_at, id);
