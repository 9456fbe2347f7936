-- A row holds no code and no link: the text is derived from the challenge when it is delivered.
-- user_id is no reference: a decoy names nobody.
-- lane: what of a recipient may be slow as a whole (a mail's domain, a number's block).
-- due: not before this time; the end of the lease while it is leased; none once it is settled.
-- lease: counts up with every lease; only the newest may settle.
-- refusals, provider, strikes, doubts: where the tries stand (see notifier/retry.rs).

CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT   NOT NULL,
    challenge   BLOB,
    key_id      BIGINT,
    user_id     BIGINT NOT NULL,
    app_id      BIGINT NOT NULL REFERENCES applications (id),
    channel     TEXT   NOT NULL,
    destination TEXT   NOT NULL,
    locale      TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    created     BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    lane        TEXT   NOT NULL,
    due         BIGINT,
    lease       BIGINT NOT NULL DEFAULT 0,
    refusals    BIGINT NOT NULL DEFAULT 0,
    provider    BIGINT NOT NULL DEFAULT 0,
    strikes     BIGINT NOT NULL DEFAULT 0,
    doubts      BIGINT NOT NULL DEFAULT 0,
    settled     BIGINT,
    last_error  TEXT
);

-- Settled rows, nearly all of them, are in none of the first and the last.
CREATE INDEX outbox_due ON outbox (channel, due) WHERE due IS NOT NULL;
CREATE INDEX outbox_settled ON outbox (settled) WHERE settled IS NOT NULL;
CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead' AND user_id > 0;

CREATE TABLE outbox_attempts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id  BIGINT NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    at          BIGINT NOT NULL,
    provider    TEXT   NOT NULL,
    outcome     TEXT   NOT NULL,
    detail      TEXT,
    reference   TEXT,
    millis      BIGINT NOT NULL
);

CREATE INDEX outbox_attempts_message ON outbox_attempts (message_id);
CREATE INDEX outbox_attempts_reference ON outbox_attempts (provider, reference) WHERE reference IS NOT NULL;
