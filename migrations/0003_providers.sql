-- What the decision who somebody is needs beside people and associations.

-- What the operator keeps of a provider's answer (extra data): one JSON object.
ALTER TABLE vestibule_association ADD COLUMN extra TEXT NOT NULL DEFAULT '{}';

-- What waits for somebody: sealed, found by the digest of a secret that only they have.
CREATE TABLE vestibule_pending (
    digest     {bytes} PRIMARY KEY,
    -- what it is: nothing of one kind is ever taken for another
    kind       TEXT    NOT NULL,
    sealed     {bytes} NOT NULL,
    expires_at BIGINT  NOT NULL
);
CREATE INDEX vestibule_pending_expires ON vestibule_pending (expires_at);
