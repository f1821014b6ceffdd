-- What has happened, counted by minute, hour and day, and the refusals of late: what the dashboard shows.

CREATE TABLE vestibule_statistic (
    -- sign_in, conversion, refusal …
    kind           TEXT   NOT NULL,
    -- of the bucket, in seconds: 60, 3600 or 86400
    size           BIGINT NOT NULL,
    -- of the bucket; a multiple of its size
    starts_at      BIGINT NOT NULL,
    -- empty: none
    provider       TEXT   NOT NULL,
    -- 0: none. It stays when the application goes
    application_id BIGINT NOT NULL,
    -- the reason of a refusal, the grant type of a token
    detail         TEXT   NOT NULL,
    count          BIGINT NOT NULL,
    -- milliseconds, where a provider was waited for
    ms_sum         BIGINT NOT NULL,
    ms_max         BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    PRIMARY KEY (kind, size, starts_at, provider, application_id, detail)
);
CREATE INDEX vestibule_statistic_expires ON vestibule_statistic (expires_at);

-- The newest refusals of each provider. There is no token, code or secret in any.
CREATE TABLE vestibule_refusal (
    id             {id},
    at             BIGINT NOT NULL,
    -- empty: none
    provider       TEXT   NOT NULL,
    -- 0: none
    application_id BIGINT NOT NULL,
    reason         TEXT   NOT NULL,
    -- what was told
    description    TEXT   NOT NULL,
    -- what was logged beside
    cause          TEXT   NOT NULL,
    expires_at     BIGINT NOT NULL
);
CREATE INDEX vestibule_refusal_provider ON vestibule_refusal (provider, id);
CREATE INDEX vestibule_refusal_expires ON vestibule_refusal (expires_at);

-- For counting once a minute without reading a row.
CREATE INDEX vestibule_user_last_login ON vestibule_user (last_login);
CREATE INDEX vestibule_token_live ON vestibule_token (access_expires_at) WHERE consumed_at IS NULL AND revoked_at IS NULL;
CREATE INDEX vestibule_session_seen ON vestibule_session (last_seen_at, expires_at);
