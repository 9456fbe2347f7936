-- The user's epoch when a challenge was issued: a revocation drops those of an epoch before its own.
ALTER TABLE phone_challenges ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reset_challenges ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
