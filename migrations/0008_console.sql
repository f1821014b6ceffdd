-- What the console needs: what staff may do, what was done by whom, and lists that stay fast.
-- {binary} is the collation that compares byte by byte, so that a prefix is a range.

-- What this member of staff may do: words between blanks. A superuser may do everything.
ALTER TABLE vestibule_user ADD COLUMN permissions TEXT NOT NULL DEFAULT '';
-- In lower case: what the console searches by the beginning of.
ALTER TABLE vestibule_user ADD COLUMN search_username TEXT {binary} NOT NULL DEFAULT '';
ALTER TABLE vestibule_user ADD COLUMN search_email TEXT {binary} NOT NULL DEFAULT '';
ALTER TABLE vestibule_user ADD COLUMN search_name TEXT {binary} NOT NULL DEFAULT '';
UPDATE vestibule_user SET search_username = lower(username), search_email = email_key, search_name = lower(last_name);
CREATE INDEX vestibule_user_search_username ON vestibule_user (search_username);
CREATE INDEX vestibule_user_search_email ON vestibule_user (search_email);
CREATE INDEX vestibule_user_search_name ON vestibule_user (search_name);
CREATE INDEX vestibule_user_staff ON vestibule_user (id) WHERE is_staff;
CREATE INDEX vestibule_user_superuser ON vestibule_user (id) WHERE is_superuser;
CREATE INDEX vestibule_user_active ON vestibule_user (id) WHERE is_active;
CREATE INDEX vestibule_user_inactive ON vestibule_user (id) WHERE NOT is_active;

CREATE INDEX vestibule_application_owner ON vestibule_application (owner_id);
-- The tokens of an application in the order of their numbers: a page of them is one range.
DROP INDEX vestibule_token_application;
CREATE INDEX vestibule_token_application ON vestibule_token (application_id, id);
-- A person's likewise; what they have at one application is found among it.
DROP INDEX vestibule_token_user;
CREATE INDEX vestibule_token_user ON vestibule_token (user_id, id) WHERE user_id IS NOT NULL;
DROP INDEX vestibule_consent_application;
CREATE INDEX vestibule_consent_application ON vestibule_consent (application_id, id);
DROP INDEX vestibule_association_user;
CREATE INDEX vestibule_association_user ON vestibule_association (user_id, id);
CREATE INDEX vestibule_association_provider ON vestibule_association (provider, id);
CREATE INDEX vestibule_association_uid ON vestibule_association (uid);
-- The first characters of the access token behind its prefix: by them somebody finds the row of one that leaked.
ALTER TABLE vestibule_token ADD COLUMN access_hint TEXT NOT NULL DEFAULT '';

-- Who did what, from where. It outlives whom and what it names, so nothing here refers to a row.
CREATE TABLE vestibule_audit (
    id          {id},
    at          BIGINT NOT NULL,
    -- the person; NULL where it was an application or the command line
    actor_id    BIGINT,
    actor       TEXT   NOT NULL,
    -- 'console', 'api' or 'command'
    via         TEXT   NOT NULL,
    address     TEXT   NOT NULL,
    -- 'application.create'
    act         TEXT   NOT NULL,
    -- 'application'
    act_area    TEXT   NOT NULL,
    -- what it was done to: 'application', 'user' …, its number and what it is called
    target_kind TEXT   NOT NULL,
    target_id   BIGINT,
    target      TEXT   NOT NULL,
    -- one JSON object: what changed, never a secret
    detail      TEXT   NOT NULL
);
-- The list is in the order of (at, id), and so is every filter's own part of it: a page is one range, with dates or without.
CREATE INDEX vestibule_audit_at ON vestibule_audit (at, id);
CREATE INDEX vestibule_audit_actor ON vestibule_audit (actor, at, id);
CREATE INDEX vestibule_audit_actor_act ON vestibule_audit (actor, act, at, id);
CREATE INDEX vestibule_audit_actor_area ON vestibule_audit (actor, act_area, at, id);
CREATE INDEX vestibule_audit_actor_kind ON vestibule_audit (actor, target_kind, at, id);
CREATE INDEX vestibule_audit_act ON vestibule_audit (act, at, id);
CREATE INDEX vestibule_audit_act_area ON vestibule_audit (act_area, at, id);
CREATE INDEX vestibule_audit_target_kind ON vestibule_audit (target_kind, at, id);
CREATE INDEX vestibule_audit_target ON vestibule_audit (target, at, id);

-- Answers to requests with an Idempotency-Key: sealed, for a secret may be among them.
CREATE TABLE vestibule_idempotency (
    -- of who asked and the key
    digest        {bytes} PRIMARY KEY,
    -- of method, path and body: the same key for another request is refused
    request       {bytes} NOT NULL,
    -- NULL while the request is under way
    sealed_answer {bytes},
    expires_at    BIGINT  NOT NULL
);
CREATE INDEX vestibule_idempotency_expires ON vestibule_idempotency (expires_at);
