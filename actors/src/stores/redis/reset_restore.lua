-- Puts a used reset link back, unless it has expired or another one lives.
--
-- KEYS[1]  pc:{user}:reset (see reset_issue.lua)
-- ARGV     2 id · 3 key · 4 digest · 5 expires, Unix ms · 6 app, or nothing · 7 epoch
-- returns  1, or 0 if nothing was put back

local expires = redis.call('HGET', KEYS[1], 'expires')
if (expires and tonumber(expires) > now) or tonumber(ARGV[5]) <= now then
  return 0
end
-- As in reset_issue.lua: the room was there a moment ago.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'key', ARGV[3], 'digest', ARGV[4], 'expires', ARGV[5],
  'epoch', ARGV[7])
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[1], 'app', ARGV[6])
end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ARGV[5] - shift))
return 1
