-- People, applications, tokens and the accounts that people have at providers.
-- {id} and {bytes} are the two words that SQLite and PostgreSQL spell differently; times are seconds since 1970.

CREATE TABLE vestibule_user (
    id             {id},
    username       TEXT    NOT NULL UNIQUE,
    email          TEXT    NOT NULL DEFAULT '',
    -- lower case, for looking up; empty where there is none
    email_key      TEXT    NOT NULL DEFAULT '',
    email_verified BOOLEAN NOT NULL DEFAULT FALSE,
    first_name     TEXT    NOT NULL DEFAULT '',
    last_name      TEXT    NOT NULL DEFAULT '',
    -- an encoding as Django writes it; NULL where the person has no password
    password       TEXT,
    is_active      BOOLEAN NOT NULL DEFAULT TRUE,
    is_staff       BOOLEAN NOT NULL DEFAULT FALSE,
    is_superuser   BOOLEAN NOT NULL DEFAULT FALSE,
    date_joined    BIGINT  NOT NULL,
    last_login     BIGINT,
    -- counts up when everything that was issued to this person ends; a token of an older epoch is dead for good
    token_epoch    BIGINT  NOT NULL DEFAULT 0
);
CREATE INDEX vestibule_user_email_key ON vestibule_user (email_key);

CREATE TABLE vestibule_application (
    id                         {id},
    client_id                  TEXT    NOT NULL UNIQUE,
    name                       TEXT    NOT NULL,
    client_type                TEXT    NOT NULL,
    -- 'sha256$' and the hexadecimal digest; NULL for public clients
    secret_hash                TEXT,
    -- the secret before the last rotation, until its overlap ends
    previous_secret_hash       TEXT,
    previous_secret_expires_at BIGINT,
    token_endpoint_auth_method TEXT,
    -- lists: words between blanks
    grant_types                TEXT    NOT NULL,
    redirect_uris              TEXT    NOT NULL DEFAULT '',
    post_logout_redirect_uris  TEXT    NOT NULL DEFAULT '',
    allowed_origins            TEXT    NOT NULL DEFAULT '',
    -- empty: every scope
    scopes                     TEXT    NOT NULL DEFAULT '',
    jwks                       TEXT,
    jwks_uri                   TEXT,
    signing_algorithm          TEXT    NOT NULL DEFAULT 'none',
    owner_id                   BIGINT  REFERENCES vestibule_user (id) ON DELETE SET NULL,
    skip_authorization         BOOLEAN NOT NULL DEFAULT FALSE,
    -- may introspect the tokens of every application
    is_resource_server         BOOLEAN NOT NULL DEFAULT FALSE,
    is_active                  BOOLEAN NOT NULL DEFAULT TRUE,
    token_epoch                BIGINT  NOT NULL DEFAULT 0,
    created_at                 BIGINT  NOT NULL,
    updated_at                 BIGINT  NOT NULL
);

-- A row is what one answer of the token endpoint gave: an access token, and mostly a refresh token.
CREATE TABLE vestibule_token (
    id                 {id},
    -- one sign-in: what came of it by refreshing shares this number
    family             BIGINT  NOT NULL,
    -- 0 for the sign-in, one more at each refresh
    generation         BIGINT  NOT NULL,
    grant_type         TEXT    NOT NULL,
    application_id     BIGINT  NOT NULL REFERENCES vestibule_application (id) ON DELETE CASCADE,
    application_epoch  BIGINT  NOT NULL,
    -- NULL for client_credentials
    user_id            BIGINT  REFERENCES vestibule_user (id) ON DELETE CASCADE,
    user_epoch         BIGINT  NOT NULL,
    scope              TEXT    NOT NULL,
    access_digest      {bytes} NOT NULL,
    access_expires_at  BIGINT  NOT NULL,
    refresh_digest     {bytes},
    refresh_expires_at BIGINT,
    created_at         BIGINT  NOT NULL,
    -- the refresh token was used: both tokens of this row are spent
    consumed_at        BIGINT,
    -- both tokens were ended on purpose, or by a replay
    revoked_at         BIGINT,
    -- only the refresh token was
    refresh_revoked_at BIGINT,
    -- when neither token can be used or be evidence of a replay any more
    expires_at         BIGINT  NOT NULL
);
CREATE UNIQUE INDEX vestibule_token_access ON vestibule_token (access_digest);
CREATE UNIQUE INDEX vestibule_token_refresh ON vestibule_token (refresh_digest) WHERE refresh_digest IS NOT NULL;
CREATE INDEX vestibule_token_family ON vestibule_token (family);
CREATE INDEX vestibule_token_user ON vestibule_token (user_id, application_id) WHERE user_id IS NOT NULL;
CREATE INDEX vestibule_token_application ON vestibule_token (application_id);
CREATE INDEX vestibule_token_expires ON vestibule_token (expires_at);

-- An account at a provider, and whose it is.
CREATE TABLE vestibule_association (
    id            {id},
    user_id       BIGINT NOT NULL REFERENCES vestibule_user (id) ON DELETE CASCADE,
    provider      TEXT   NOT NULL,
    uid           TEXT   NOT NULL,
    -- the provider's tokens, sealed
    sealed_tokens {bytes},
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    UNIQUE (provider, uid)
);
CREATE INDEX vestibule_association_user ON vestibule_association (user_id);

-- The keys that something in this database is sealed under: their names, never the keys.
CREATE TABLE vestibule_seal_key (
    id       TEXT   PRIMARY KEY,
    added_at BIGINT NOT NULL
);
