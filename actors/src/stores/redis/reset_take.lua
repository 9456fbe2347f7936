-- Returns the live reset link with a digest, and uses it up if told to.
--
-- KEYS[1]  pc:{user}:reset (see reset_issue.lua)
-- ARGV     2 digest · 3 find | consume
-- returns  {id, key, digest, app, expires, epoch}, or nil

local held = redis.call('HMGET', KEYS[1], 'id', 'key', 'digest', 'app', 'expires', 'epoch')
if not held[5] or tonumber(held[5]) <= now or held[3] ~= ARGV[2] then
  return false
end
if ARGV[3] == 'consume' then
  redis.call('DEL', KEYS[1])
end
return held
