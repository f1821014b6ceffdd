-- What people's own pages need.

-- From where a session was used last; empty: not since this column is there.
ALTER TABLE vestibule_session ADD COLUMN last_address TEXT NOT NULL DEFAULT '';

-- Mails that must still leave, sealed: there are secrets in them.
CREATE TABLE vestibule_mail (
    id         {id},
    sealed     {bytes} NOT NULL,
    tries      BIGINT  NOT NULL DEFAULT 0,
    due_at     BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL
);
CREATE INDEX vestibule_mail_due ON vestibule_mail (due_at);
