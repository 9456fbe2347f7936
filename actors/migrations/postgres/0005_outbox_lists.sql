-- The messages of one user; those to an address before it had an account; those that expired. A step of its own: while it
-- runs, messages wait, and nothing else does.
CREATE INDEX outbox_user ON outbox (user_id, id);
CREATE INDEX outbox_decoy_destination ON outbox (destination) WHERE user_id < 0;
CREATE INDEX outbox_expired ON outbox (id) WHERE state = 'expired' AND user_id > 0;
