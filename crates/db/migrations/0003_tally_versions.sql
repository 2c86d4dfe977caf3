-- What changes with each change of a thing that lists show or are ordered by, so that what is remembered of a list
-- (`db::landmarks`) is known to be true still. Only the sum over all rows of a kind and a domain says anything.
ALTER TABLE tallies ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
