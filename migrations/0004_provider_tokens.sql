-- Providers' tokens that are kept usable, and what hooks must still be told.

-- Until when somebody is asking the provider for fresh tokens; nobody else asks before.
ALTER TABLE vestibule_association ADD COLUMN refreshing_until BIGINT;

-- Events that a webhook must still be told of. There is no token in any.
CREATE TABLE vestibule_hook_notice (
    id         {id},
    -- `webhook-id`: the same at every try
    public_id  TEXT   NOT NULL,
    -- its name in the configuration
    hook       TEXT   NOT NULL,
    payload    TEXT   NOT NULL,
    tries      BIGINT NOT NULL DEFAULT 0,
    due_at     BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX vestibule_hook_notice_due ON vestibule_hook_notice (due_at);
