-- A session that was closed, if the token store alone might forget that. Kept for a day. Without a reference to `users`: closing a
-- session must not wait for whoever holds the row of the user.
CREATE TABLE closings (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id BIGINT NOT NULL,
    digest  BLOB   NOT NULL,
    created BIGINT NOT NULL
);

CREATE INDEX closings_created ON closings (created, id);
