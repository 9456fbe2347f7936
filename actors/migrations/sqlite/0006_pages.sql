-- The changes of `users` that lock out readers come last, since they hold that lock until this step has ended.
CREATE INDEX users_phone ON users (phone) WHERE phone IS NOT NULL;
CREATE INDEX users_admin ON users (id) WHERE admin = 1;

-- The processes that serve this installation. A row whose process has not been seen for a minute means nothing.
CREATE TABLE nodes (
    id      TEXT PRIMARY KEY,
    version TEXT   NOT NULL,
    started BIGINT NOT NULL,
    seen    BIGINT NOT NULL
);

-- colour: six hexadecimal digits. open_url: opens the application on the device of the reader.
ALTER TABLE applications ADD COLUMN colour TEXT;
ALTER TABLE applications ADD COLUMN open_url TEXT;

-- last_used: exact to a minute. expires: none if the key is valid until it is revoked. replaced: when it was rotated; it is
-- valid until it expires.
ALTER TABLE server_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE server_keys ADD COLUMN last_used BIGINT;
ALTER TABLE server_keys ADD COLUMN expires BIGINT;
ALTER TABLE server_keys ADD COLUMN replaced BIGINT;
CREATE INDEX server_keys_owner ON server_keys (user_id, id);
CREATE INDEX server_keys_expires ON server_keys (expires) WHERE expires IS NOT NULL AND revoked IS NULL;

-- phone_verified: when the number was verified; none if that was before this step.
ALTER TABLE users ADD COLUMN phone_verified BIGINT;
