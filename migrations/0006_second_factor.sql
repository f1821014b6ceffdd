-- What people prove who they are with beside a password.

-- The handle by which authenticators know a person (WebAuthn §5.4.3): random, so that it tells nothing.
CREATE TABLE vestibule_passkey_handle (
    user_id BIGINT  PRIMARY KEY REFERENCES vestibule_user (id) ON DELETE CASCADE,
    handle  {bytes} NOT NULL UNIQUE
);

CREATE TABLE vestibule_passkey (
    id                 {id},
    user_id            BIGINT  NOT NULL REFERENCES vestibule_user (id) ON DELETE CASCADE,
    credential_id      {bytes} NOT NULL UNIQUE,
    -- a COSE_Key, as it came
    public_key         {bytes} NOT NULL,
    -- 0 where the authenticator does not count
    sign_count         BIGINT  NOT NULL,
    is_backup_eligible BOOLEAN NOT NULL,
    is_backed_up       BOOLEAN NOT NULL,
    -- words between blanks
    transports         TEXT    NOT NULL,
    name               TEXT    NOT NULL,
    created_at         BIGINT  NOT NULL,
    last_used_at       BIGINT
);
CREATE INDEX vestibule_passkey_user ON vestibule_passkey (user_id);

-- The secret that a person's authenticator app shares with us (RFC 6238).
CREATE TABLE vestibule_totp (
    user_id       BIGINT  PRIMARY KEY REFERENCES vestibule_user (id) ON DELETE CASCADE,
    sealed_secret {bytes} NOT NULL,
    -- the time step of the last code that was taken: none counts twice
    last_step     BIGINT  NOT NULL,
    created_at    BIGINT  NOT NULL,
    last_used_at  BIGINT
);

-- Codes for whoever has lost the rest; one that was used is gone.
CREATE TABLE vestibule_recovery_code (
    digest     {bytes} PRIMARY KEY,
    user_id    BIGINT  NOT NULL REFERENCES vestibule_user (id) ON DELETE CASCADE,
    created_at BIGINT  NOT NULL
);
CREATE INDEX vestibule_recovery_code_user ON vestibule_recovery_code (user_id);
