-- What the OAuth2 and OpenID Connect provider keeps beside tokens: sessions, consent, codes, requests, signing keys.

-- What RFC 7591 calls client metadata and no query asks for: one JSON object.
ALTER TABLE vestibule_application ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
-- The client secret, sealed: only where HS256 or client_secret_jwt must compute with it.
ALTER TABLE vestibule_application ADD COLUMN sealed_secret {bytes};
-- Of the registration access token (RFC 7592).
ALTER TABLE vestibule_application ADD COLUMN registration_digest {bytes};
-- Signing was not there before this version, so nobody has chosen `none` yet.
UPDATE vestibule_application SET signing_algorithm = 'RS256' WHERE signing_algorithm = 'none';

-- What a token is bound to and what its ID tokens say (key, resource, authentication): one JSON object, or NULL.
ALTER TABLE vestibule_token ADD COLUMN context TEXT;
-- `sid` of the browser session that it was issued in.
ALTER TABLE vestibule_token ADD COLUMN session_public_id TEXT;

-- Standard claims that no column holds (phone_number, address, picture …): one JSON object (OpenID Connect Core §5.1).
ALTER TABLE vestibule_user ADD COLUMN claims TEXT NOT NULL DEFAULT '{}';

-- A browser that somebody signed in with.
CREATE TABLE vestibule_session (
    id           {id},
    -- of the cookie's value
    digest       {bytes} NOT NULL,
    -- `sid` in ID tokens and logout tokens
    public_id    TEXT    NOT NULL,
    user_id      BIGINT  NOT NULL REFERENCES vestibule_user (id) ON DELETE CASCADE,
    user_epoch   BIGINT  NOT NULL,
    -- when the person last proved who they are
    auth_time    BIGINT  NOT NULL,
    -- how: words of RFC 8176, between blanks
    amr          TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    last_seen_at BIGINT  NOT NULL,
    -- the absolute end; the idle one follows from last_seen_at
    expires_at   BIGINT  NOT NULL,
    address      TEXT    NOT NULL DEFAULT '',
    user_agent   TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX vestibule_session_digest ON vestibule_session (digest);
CREATE INDEX vestibule_session_user ON vestibule_session (user_id);
CREATE INDEX vestibule_session_public ON vestibule_session (public_id);
CREATE INDEX vestibule_session_expires ON vestibule_session (expires_at);

-- The applications that a session was used for: whom a sign-out is told.
CREATE TABLE vestibule_session_application (
    session_public_id TEXT   NOT NULL,
    application_id    BIGINT NOT NULL REFERENCES vestibule_application (id) ON DELETE CASCADE,
    user_id           BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    PRIMARY KEY (session_public_id, application_id)
);
CREATE INDEX vestibule_session_application_expires ON vestibule_session_application (expires_at);

-- What a person has allowed an application.
CREATE TABLE vestibule_consent (
    id             {id},
    user_id        BIGINT NOT NULL REFERENCES vestibule_user (id) ON DELETE CASCADE,
    application_id BIGINT NOT NULL REFERENCES vestibule_application (id) ON DELETE CASCADE,
    scope          TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    UNIQUE (user_id, application_id)
);
CREATE INDEX vestibule_consent_application ON vestibule_consent (application_id);

-- Authorization codes; one that was used stays as evidence of a replay until expires_at.
CREATE TABLE vestibule_code (
    digest            {bytes} PRIMARY KEY,
    application_id    BIGINT  NOT NULL REFERENCES vestibule_application (id) ON DELETE CASCADE,
    application_epoch BIGINT  NOT NULL,
    user_id           BIGINT  NOT NULL REFERENCES vestibule_user (id) ON DELETE CASCADE,
    user_epoch        BIGINT  NOT NULL,
    -- as the request named it; empty where it named none
    redirect_uri      TEXT    NOT NULL,
    -- the S256 challenge or the plain one; empty: none
    code_challenge    TEXT    NOT NULL,
    -- the thumbprint of the DPoP key that must redeem it; empty: any may
    bound_key         TEXT    NOT NULL,
    scope             TEXT    NOT NULL,
    context           TEXT,
    session_public_id TEXT,
    -- the family that its tokens will be
    family            BIGINT  NOT NULL,
    redeemable_until  BIGINT  NOT NULL,
    consumed_at       BIGINT,
    expires_at        BIGINT  NOT NULL
);
CREATE INDEX vestibule_code_expires ON vestibule_code (expires_at);
CREATE INDEX vestibule_code_user ON vestibule_code (user_id, application_id);

-- Requests that were pushed (RFC 9126), sealed.
CREATE TABLE vestibule_pushed_request (
    digest         {bytes} PRIMARY KEY,
    application_id BIGINT  NOT NULL REFERENCES vestibule_application (id) ON DELETE CASCADE,
    sealed_params  {bytes} NOT NULL,
    expires_at     BIGINT  NOT NULL
);
CREATE INDEX vestibule_pushed_request_expires ON vestibule_pushed_request (expires_at);

-- Devices that wait for somebody to type their code (RFC 8628).
CREATE TABLE vestibule_device_code (
    digest            {bytes} PRIMARY KEY,
    -- of the code that is typed, under a key: it is short
    user_code_digest  {bytes} NOT NULL,
    application_id    BIGINT  NOT NULL REFERENCES vestibule_application (id) ON DELETE CASCADE,
    application_epoch BIGINT  NOT NULL,
    scope             TEXT    NOT NULL,
    context           TEXT,
    family            BIGINT  NOT NULL,
    -- seconds between two polls; grows when the device does not keep to it
    poll_interval     BIGINT  NOT NULL,
    polled_at         BIGINT  NOT NULL,
    -- who has typed the code; nobody else may decide
    user_id           BIGINT  REFERENCES vestibule_user (id) ON DELETE CASCADE,
    user_epoch        BIGINT  NOT NULL DEFAULT 0,
    -- NULL: not decided yet
    is_approved       BOOLEAN,
    consumed_at       BIGINT,
    expires_at        BIGINT  NOT NULL
);
CREATE UNIQUE INDEX vestibule_device_code_user_code ON vestibule_device_code (user_code_digest);
CREATE INDEX vestibule_device_code_expires ON vestibule_device_code (expires_at);

-- What may be presented once only: ids of client assertions, DPoP proofs and request objects.
CREATE TABLE vestibule_seen (
    digest     {bytes} PRIMARY KEY,
    expires_at BIGINT  NOT NULL
);
CREATE INDEX vestibule_seen_expires ON vestibule_seen (expires_at);

-- Tries at something that can be guessed, counted by what is guessed at or by who guesses.
CREATE TABLE vestibule_attempt (
    digest     {bytes} PRIMARY KEY,
    tries      BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL
);
CREATE INDEX vestibule_attempt_expires ON vestibule_attempt (expires_at);

-- Keys that sign; the private half is sealed. Of an algorithm the youngest that is active by now signs; every one that
-- has not expired is published.
CREATE TABLE vestibule_signing_key (
    kid        TEXT    PRIMARY KEY,
    algorithm  TEXT    NOT NULL,
    sealed_key {bytes} NOT NULL,
    public_jwk TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    active_at  BIGINT  NOT NULL,
    -- NULL while it signs or is to sign
    expires_at BIGINT
);

-- Sign-outs that an application must still be told of (OpenID Connect Back-Channel Logout).
CREATE TABLE vestibule_logout_notice (
    id             {id},
    application_id BIGINT NOT NULL REFERENCES vestibule_application (id) ON DELETE CASCADE,
    user_id        BIGINT NOT NULL,
    session_public_id TEXT NOT NULL,
    tries          BIGINT NOT NULL DEFAULT 0,
    due_at         BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL
);
CREATE INDEX vestibule_logout_notice_due ON vestibule_logout_notice (due_at);
