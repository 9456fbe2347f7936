-- Applies a revocation: deletes sessions, codes and reset links of an epoch before the given one, and stores the epoch.
-- If it is applied late or again, also in a Redis that has lost the epoch, later ones stay.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- KEYS[2]  pc:{user}:phone (see phone_issue.lua)
-- KEYS[3]  pc:{user}:reset (see reset_issue.lua)
-- ARGV     2 epoch · 3 digest of a session to keep, or empty
-- returns  how many live sessions were closed

-- Deleting comes first, here a field that never exists: that works on a full store, and a script that has begun to write
-- may then write the epoch.
redis.call('HDEL', KEYS[1], '-')

local all, known = read()
local epoch, closed = tonumber(ARGV[2]), 0
for i = 2, 3 do
  if tonumber(redis.call('HGET', KEYS[i], 'epoch') or 0) < epoch then
    redis.call('DEL', KEYS[i])
  end
end
for _, session in ipairs(all) do
  if session.epoch < epoch and session.id ~= ARGV[3] then
    redis.call('HDEL', KEYS[1], session.id)
    closed = closed + (session.live and 1 or 0)
  end
end
if epoch > known then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
end
set_expiry()
return closed
