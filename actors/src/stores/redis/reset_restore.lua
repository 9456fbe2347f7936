-- Restores a used reset link, unless it has expired or another one is live.
--
-- KEYS[1]  pc:{user}:reset (see reset_issue.lua)
-- ARGV     2 id · 3 key · 4 digest · 5 expires, Unix ms · 6 app, or empty · 7 epoch
-- returns  1, or 0 if nothing was restored

local expires = redis.call('HGET', KEYS[1], 'expires')
if (expires and tonumber(expires) > now) or tonumber(ARGV[5]) <= now then
  return 0
end
-- Deleting comes first, as in reset_issue.lua.
redis.call('HDEL', KEYS[1], 'app')
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'key', ARGV[3], 'digest', ARGV[4], 'expires', ARGV[5],
  'epoch', ARGV[7])
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[1], 'app', ARGV[6])
end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ARGV[5] - shift))
return 1
