-- signed_in: when a sign-in last succeeded on this device; none before, and none again once the password changes. Rows from
-- before this step do not say which devices signed in: none of them did, until it does again.
ALTER TABLE devices ADD COLUMN signed_in BIGINT;
-- The least recently seen devices of a user in an application go first.
CREATE INDEX devices_seen ON devices (user_id, app_id, seen);

-- One application is the default: it serves requests that name none.
ALTER TABLE applications ADD COLUMN is_default BIGINT NOT NULL DEFAULT 0;
UPDATE applications SET is_default = 1 WHERE id = (SELECT MIN(id) FROM applications);
CREATE UNIQUE INDEX applications_default ON applications (is_default) WHERE is_default = 1;

-- hash_work: what comparing with an imported password hash costs (see hashing/policy.rs); 0 for hashes of our own.
ALTER TABLE users ADD COLUMN hash_work BIGINT NOT NULL DEFAULT 0;
UPDATE users SET hash_work = 200::BIGINT << substr(password_hash, 5, 2)::INTEGER WHERE substr(password_hash, 1, 2) = '$2';
CREATE INDEX users_hash_work ON users (hash_work) WHERE hash_work > 0;

-- Wrong passwords in a row, of accounts and of addresses that nobody has (negative numbers) alike.
CREATE TABLE wrong_passwords (
    user_id  BIGINT PRIMARY KEY,
    failures BIGINT NOT NULL,
    last     BIGINT NOT NULL
);
INSERT INTO wrong_passwords SELECT id, failures, created FROM users WHERE failures > 0;
ALTER TABLE users DROP COLUMN failures;
-- What is forgotten: decoys alone.
CREATE INDEX wrong_passwords_decoys ON wrong_passwords (last) WHERE user_id < 0;

-- What belongs to the installation as a whole and not to a node or to a secret that is rotated.
CREATE TABLE installation (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE INDEX outbox_expires ON outbox (expires) WHERE due IS NOT NULL;
-- Decoys are forgotten sooner than messages.
CREATE INDEX outbox_decoys ON outbox (settled) WHERE user_id < 0;

-- A revocation outlives its user: that somebody was deleted must reach the token store, too.
ALTER TABLE revocations DROP CONSTRAINT revocations_user_id_fkey;
