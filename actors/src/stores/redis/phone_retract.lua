-- Takes back a send that did not happen, unless another one was sent since.
--
-- KEYS[1]  pc:{user}:phone (see phone_issue.lua)
-- ARGV     2 id, 3 sends of the code that was not sent · and of the live code before it, if any: 4 id · 5 key · 6 proof ·
--          7 phone · 8 expires, Unix ms · 9 sends · 10 sent, Unix ms · 11 epoch
-- returns  1, or 0 if nothing was taken back

local held = redis.call('HMGET', KEYS[1], 'id', 'sends', 'expires')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or tonumber(held[3]) <= now then
  return 0
end
if #ARGV == 3 then
  redis.call('HSET', KEYS[1], 'sends', 0)
else
  redis.call('HSET', KEYS[1], 'id', ARGV[4], 'key', ARGV[5], 'proof', ARGV[6], 'phone', ARGV[7], 'expires', ARGV[8],
    'sends', ARGV[9], 'sent', ARGV[10], 'epoch', ARGV[11])
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ARGV[8] - shift))
end
return 1
