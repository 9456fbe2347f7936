-- Signs a user out: closes every session of an epoch before the given one, drops codes and reset links, keeps the epoch.
-- Applying it again, or applying an older one later, closes nothing that was opened since.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- KEYS[2]  pc:{user}:phone, deleted
-- KEYS[3]  pc:{user}:reset, deleted
-- ARGV     2 epoch · 3 digest of a session to keep, or nothing
-- returns  how many live sessions were closed

-- Deleting comes first: it works on a full store, and a script that has begun to write may go on to write the epoch.
redis.call('DEL', KEYS[2], KEYS[3])

local all, known = read()
local epoch, closed = tonumber(ARGV[2]), 0
for _, session in ipairs(all) do
  if session.epoch < epoch and session.name ~= ARGV[3] then
    redis.call('HDEL', KEYS[1], session.name)
    closed = closed + (session.live and 1 or 0)
  end
end
if epoch > known then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
end
settle()
return closed
