-- What expires: sessions, challenges and counters. No row holds a secret, only digests.
-- Session times are seconds since the Unix epoch, all others milliseconds.

-- `serial` orders sessions that were opened within one second. `epoch` is the user's as of the sign-in.
CREATE TABLE sessions (
    serial           INTEGER PRIMARY KEY,
    user_id          INTEGER NOT NULL,
    id               BLOB    NOT NULL,
    app_id           INTEGER NOT NULL,
    device_id        INTEGER,
    epoch            INTEGER NOT NULL,
    created          INTEGER NOT NULL,
    idle_expires     INTEGER NOT NULL,
    absolute_expires INTEGER NOT NULL,
    UNIQUE (user_id, id)
) STRICT;
CREATE INDEX sessions_by_end ON sessions (min(idle_expires, absolute_expires));

-- The epoch that a sign-in must have at least; kept while a sign-in that began before it may still be on its way.
CREATE TABLE session_epochs (
    user_id INTEGER PRIMARY KEY,
    epoch   INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

-- One row. Counts the commits that changed sessions, so that a process can tell those of others from its own.
CREATE TABLE session_changes (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    commits INTEGER NOT NULL
) STRICT;
INSERT INTO session_changes VALUES (1, 0);

CREATE TABLE phone_challenges (
    user_id   INTEGER PRIMARY KEY,
    id        BLOB    NOT NULL,
    key_id    INTEGER NOT NULL,
    proof     BLOB    NOT NULL,
    phone     TEXT    NOT NULL,
    expires   INTEGER NOT NULL,
    guesses   INTEGER NOT NULL,
    sends     INTEGER NOT NULL,
    last_sent INTEGER NOT NULL
) STRICT;

CREATE TABLE reset_challenges (
    user_id INTEGER PRIMARY KEY,
    id      BLOB    NOT NULL,
    key_id  INTEGER NOT NULL,
    digest  BLOB    NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

-- A rate counts charges until `expires`; a backoff counts tries, and `waits_until` holds back the next one.
CREATE TABLE counters (
    scope       TEXT    NOT NULL,
    subject     BLOB    NOT NULL,
    charges     INTEGER NOT NULL,
    waits_until INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    PRIMARY KEY (scope, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX counters_by_end ON counters (expires);
