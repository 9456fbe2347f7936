-- Moves the idle end of a live session; resurrects nothing.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- ARGV     2 digest · 3 idle life, s
-- returns  1, or 0 if the session is not there (any more)

for _, session in ipairs((read())) do
  if session.name == ARGV[2] and session.live then
    local idle = seconds + ARGV[3]
    redis.call('HSET', KEYS[1], session.name,
      line(session.app, session.device, session.created, idle, session.absolute, session.born))
    settle()
    return 1
  end
end
return 0
