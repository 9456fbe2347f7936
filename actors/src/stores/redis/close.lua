-- Closes sessions. It only deletes, so it works on a full store.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- ARGV     2 one | others | app | all · 3 the digest, the digest to keep, the application, or nothing
-- returns  the digests of the live sessions that were closed

local closed = {}
for _, session in ipairs((read())) do
  local selected = ARGV[2] == 'all'
    or (ARGV[2] == 'one' and session.id == ARGV[3])
    or (ARGV[2] == 'others' and session.id ~= ARGV[3])
    or (ARGV[2] == 'app' and session.app == ARGV[3])
  if selected then
    redis.call('HDEL', KEYS[1], session.id)
    if session.live then
      closed[#closed + 1] = session.id
    end
  end
end
set_expiry()
return closed
