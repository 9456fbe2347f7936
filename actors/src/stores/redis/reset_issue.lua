-- Returns the live reset link, or a fresh one.
--
-- KEYS[1]  pc:{user}:reset, a hash that expires with its link
--   fields id (16 raw bytes) · key · digest (16 raw bytes) · app · expires (Unix ms) ·
--          epoch, the epoch of the user when it was issued
-- ARGV     2 id, 3 key, 4 digest of a fresh link · 5 life, ms · 6 app · 7 epoch
-- returns  {id, key, digest, app, expires, epoch}

local held = redis.call('HMGET', KEYS[1], 'id', 'key', 'digest', 'app', 'expires', 'epoch')
-- A link of an earlier epoch counts as revoked.
if held[5] and tonumber(held[5]) > now and tonumber(held[6] or 0) >= tonumber(ARGV[7]) then
  return held
end
-- Deleting comes first, here a field that never exists: on a full store a script that has begun to write may continue, and
-- a reset must work then. The key itself stays: while its slot moves to another node of a cluster, one that was deleted may
-- not be written again.
redis.call('HDEL', KEYS[1], '-')
local expires = string.format('%.0f', now + ARGV[5])
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'key', ARGV[3], 'digest', ARGV[4], 'app', ARGV[6],
  'expires', expires, 'epoch', ARGV[7])
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expires - shift))
return {ARGV[2], ARGV[3], ARGV[4], ARGV[6], expires, ARGV[7]}
