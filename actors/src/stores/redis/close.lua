-- Closes sessions. Only deletes, so it works on a full store.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- ARGV     2 one | others | app | all · 3 the digest, the digest to keep, the application, or nothing
-- returns  how many live ones there were

local closed = 0
for _, session in ipairs((read())) do
  local meant = ARGV[2] == 'all'
    or (ARGV[2] == 'one' and session.name == ARGV[3])
    or (ARGV[2] == 'others' and session.name ~= ARGV[3])
    or (ARGV[2] == 'app' and session.app == ARGV[3])
  if meant then
    redis.call('HDEL', KEYS[1], session.name)
    closed = closed + (session.live and 1 or 0)
  end
end
settle()
return closed
