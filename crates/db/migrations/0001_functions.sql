-- What stores ask of JSON documents and names, under one name on both engines (SQLite: registered per connection).
-- Plain SQL bodies without subqueries, not STRICT: so that PostgreSQL inlines them and can use an index.
-- postgres
CREATE FUNCTION json_contains(doc jsonb, want jsonb) RETURNS boolean
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT doc @> want';

CREATE FUNCTION json_texts(list jsonb) RETURNS text[]
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT array(SELECT jsonb_array_elements_text(list))';

CREATE FUNCTION tags_any(doc jsonb, want jsonb) RETURNS boolean
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT doc ?| json_texts(want)';

CREATE FUNCTION tags_all(doc jsonb, want jsonb) RETURNS boolean
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT doc @> want';

CREATE FUNCTION name_contains(name text, part text) RETURNS boolean
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS 'SELECT strpos(upper(name COLLATE "und-x-icu"), upper(part COLLATE "und-x-icu")) > 0';
-- end
