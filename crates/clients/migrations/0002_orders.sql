-- A page of a domain's clients whatever their status, by name and by the time at which they were made; by the time of change
-- it is clients_all.
CREATE INDEX clients_all_names ON clients (domain_id, name, id);
CREATE INDEX clients_all_created ON clients (domain_id, created_at, id);
