-- Booleans are 0 or 1, times are milliseconds since the Unix epoch, digests are 16 bytes.

CREATE TABLE users (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    email         TEXT   NOT NULL UNIQUE,
    first_name    TEXT   NOT NULL,
    last_name     TEXT   NOT NULL,
    password_hash TEXT   NOT NULL,
    admin         BIGINT NOT NULL,
    disabled      BIGINT,
    phone         TEXT,
    locale        TEXT,
    epoch         BIGINT NOT NULL DEFAULT 0,
    failures      BIGINT NOT NULL DEFAULT 0,
    created       BIGINT NOT NULL
);

CREATE TABLE applications (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT   NOT NULL UNIQUE,
    brand     TEXT   NOT NULL,
    mail_from TEXT,
    sms_from  TEXT,
    created   BIGINT NOT NULL
);

CREATE TABLE server_keys (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    digest  BLOB   NOT NULL UNIQUE,
    app_id  BIGINT NOT NULL REFERENCES applications (id),
    user_id BIGINT NOT NULL REFERENCES users (id),
    scopes  TEXT   NOT NULL,
    created BIGINT NOT NULL,
    revoked BIGINT
);

CREATE TABLE devices (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id      BIGINT NOT NULL REFERENCES users (id),
    app_id       BIGINT NOT NULL REFERENCES applications (id),
    device_token TEXT   NOT NULL,
    mobile_os    TEXT   NOT NULL,
    seen         BIGINT NOT NULL,
    UNIQUE (user_id, device_token, app_id)
);

-- One push token of one application belongs to one device: the primary key decides every race about it.
CREATE TABLE pushes (
    app_id    BIGINT NOT NULL REFERENCES applications (id),
    digest    BLOB   NOT NULL,
    device_id BIGINT NOT NULL UNIQUE REFERENCES devices (id),
    token     TEXT   NOT NULL,
    PRIMARY KEY (app_id, digest)
);

CREATE TABLE revocations (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id BIGINT NOT NULL REFERENCES users (id),
    epoch   BIGINT NOT NULL,
    keep    BLOB,
    created BIGINT NOT NULL,
    applied BIGINT
);

CREATE INDEX revocations_pending ON revocations (id) WHERE applied IS NULL;
CREATE INDEX revocations_created ON revocations (created);
