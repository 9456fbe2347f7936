-- Restores a used code, unless it has expired or another one is live.
--
-- KEYS[1]  pc:{user}:phone (see phone_issue.lua)
-- ARGV     2 id · 3 key · 4 proof · 5 phone · 6 expires, Unix ms · 7 guesses · 8 sends · 9 sent, Unix ms · 10 epoch
-- returns  1, or 0 if nothing was restored

local expires = redis.call('HGET', KEYS[1], 'expires')
if (expires and tonumber(expires) > now) or tonumber(ARGV[6]) <= now then
  return 0
end
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'key', ARGV[3], 'proof', ARGV[4], 'phone', ARGV[5], 'expires', ARGV[6],
  'guesses', ARGV[7], 'sends', ARGV[8], 'sent', ARGV[9], 'epoch', ARGV[10])
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ARGV[6] - shift))
return 1
