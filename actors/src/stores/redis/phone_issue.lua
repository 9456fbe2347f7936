-- Decides which phone code to send, and counts the send.
--
-- KEYS[1]  pc:{user}:phone, a hash that expires with its code
--   fields id (16 raw bytes) · key · proof (16 raw bytes) · phone (E.164) · expires (Unix ms) · guesses · sends ·
--          sent (Unix ms) · epoch, the epoch of the user when it was issued
-- ARGV     2 phone · 3 id, 4 key, 5 proof of a fresh code · 6 life, ms · 7 renew below, ms · 8 guesses · 9 epoch ·
--          10 … waits before the second, third … send, ms; the last one repeats
-- returns  {'wait', ms} | {'exhausted', ms} | {'send', id, key, proof, phone, expires, guesses, sends, sent, epoch,
--          and the same fields of the live code as it was before, if there is one}

local NAMES = {'id', 'key', 'proof', 'phone', 'expires', 'guesses', 'sends', 'sent', 'epoch'}
local held = redis.call('HMGET', KEYS[1], unpack(NAMES))
local id, key, proof, expires, guesses, sends = ARGV[3], ARGV[4], ARGV[5], now + ARGV[6], 0, 0
local epoch = ARGV[9]
local before = {}

-- A code of an earlier epoch counts as revoked.
if held[5] and tonumber(held[5]) > now and tonumber(held[9] or 0) >= tonumber(epoch) then
  guesses, sends = tonumber(held[6]), tonumber(held[7])
  before = held
  if guesses >= tonumber(ARGV[8]) then
    return {'exhausted', held[5] - now}
  end
  -- A code that was not sent yet (see phone_retract.lua) has no wait.
  local wait = sends > 0 and ARGV[math.min(9 + sends, #ARGV)] or 0
  if #ARGV > 9 and held[8] + wait > now then
    return {'wait', held[8] + wait - now}
  end
  if held[4] == ARGV[2] and held[5] - now >= tonumber(ARGV[7]) then
    id, key, proof, expires, epoch = held[1], held[2], held[3], tonumber(held[5]), held[9] or 0
  end
end

local until_ms, sent = string.format('%.0f', expires), string.format('%.0f', now)
redis.call('HSET', KEYS[1], 'id', id, 'key', key, 'proof', proof, 'phone', ARGV[2], 'expires', until_ms,
  'guesses', guesses, 'sends', sends + 1, 'sent', sent, 'epoch', epoch)
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expires - shift))
return {'send', id, key, proof, ARGV[2], until_ms, guesses, sends + 1, sent, epoch, unpack(before)}
