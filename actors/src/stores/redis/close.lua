-- Closes sessions. Deleting comes first, so it works on a full store.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- KEYS[2]  pc:closed:{user} (see closed.lua)
-- ARGV     2 one | others | app | all · 3 the digest, the digest to keep, the application, or nothing
-- returns  {how many live sessions were closed, their digests and those that were closed in the last minutes}

local closed, deleted = {}, false
for _, session in ipairs((read())) do
  local selected = ARGV[2] == 'all'
    or (ARGV[2] == 'one' and session.id == ARGV[3])
    or (ARGV[2] == 'others' and session.id ~= ARGV[3])
    or (ARGV[2] == 'app' and session.app == ARGV[3])
  if selected then
    redis.call('HDEL', KEYS[1], session.id)
    deleted = true
    if session.live then
      closed[#closed + 1] = session.id
    end
  end
end
if deleted then
  set_expiry()
end
return {#closed, remember(closed)}
