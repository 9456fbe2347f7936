-- Counts a guess, compares it, and uses the code up if it is right.
--
-- KEYS[1]  pc:{user}:phone (see phone_issue.lua)
-- ARGV     2 guesses that a code allows · 3 … proofs of the guess, one for each secret
-- returns  {'none'} | {'exhausted', ms} | {'wrong', phone} | {'right', id, key, proof, phone, expires, guesses, sends,
--          sent, epoch}

local held = redis.call('HMGET', KEYS[1], 'id', 'key', 'proof', 'phone', 'expires', 'guesses', 'sends', 'sent',
  'epoch')
if not held[5] or tonumber(held[5]) <= now then
  return {'none'}
end
if tonumber(held[6]) >= tonumber(ARGV[2]) then
  return {'exhausted', held[5] - now}
end
held[6] = redis.call('HINCRBY', KEYS[1], 'guesses', 1)
for i = 3, #ARGV do
  if ARGV[i] == held[3] then
    redis.call('DEL', KEYS[1])
    return {'right', unpack(held)}
  end
end
return {'wrong', held[4]}
