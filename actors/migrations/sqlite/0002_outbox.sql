-- A row holds no code and no link: the text is derived from the challenge when it is delivered.
-- user_id is no reference: a decoy names nobody.

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
    expires     BIGINT NOT NULL
);
