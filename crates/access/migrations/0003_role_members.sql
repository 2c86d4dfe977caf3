-- An id that somebody chose for a client may be that of a group or of the domain itself: whose member a row makes is
-- told by kind and id together.
ALTER TABLE role_members ADD COLUMN entity_kind TEXT NOT NULL DEFAULT '';
UPDATE role_members SET entity_kind = (SELECT r.entity_kind FROM roles r WHERE r.id = role_members.role_id);

-- A user holds at most one role on a thing (reference 02 §4.1).
DROP INDEX role_members_entity;
CREATE UNIQUE INDEX role_members_entity ON role_members (member_id, entity_kind, entity_id);

-- What a user reaches in a domain, for lists: the things themselves, and the groups.
DROP INDEX role_members_domain;
CREATE INDEX role_members_domain ON role_members (member_id, domain_id, entity_kind, entity_id, role_id);

-- What is in a group, for walks downwards.
DROP INDEX relations_subject;
CREATE INDEX relations_subject ON relations (subject_kind, subject_id, relation, object_kind, object_id);
