-- Put in front of the scripts that close sessions. What was closed is remembered for some minutes: whoever closes next learns
-- of it. So a close that was not confirmed can be tried again, on any node, although there is nothing left to close.
--
-- KEYS[2]  pc:closed:{user}, a sorted set that expires 10 minutes after its last change
--   member  16 raw bytes, the digest of a session that was closed
--   score   when, Unix seconds

local CLOSED_KEPT, CLOSED_MOST = 600, 500

-- Remembers these digests. Returns them and those of the last minutes.
local function remember(closed)
  local all = redis.call('ZRANGEBYSCORE', KEYS[2], seconds - CLOSED_KEPT, '+inf')
  for _, digest in ipairs(closed) do
    redis.call('ZADD', KEYS[2], seconds, digest)
    all[#all + 1] = digest
  end
  if #closed > 0 then
    redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - CLOSED_MOST)
    redis.call('EXPIRE', KEYS[2], CLOSED_KEPT)
  end
  return all
end
