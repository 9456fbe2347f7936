-- Moves the idle end of a live session. Resurrects nothing.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- ARGV     2 digest · 3 idle life, s
-- returns  1, or 0 if there is no such session

for _, session in ipairs((read())) do
  if session.id == ARGV[2] and session.live then
    local idle = seconds + ARGV[3]
    redis.call('HSET', KEYS[1], session.id,
      value(session.app, session.device, session.created, idle, session.absolute, session.born, session.more))
    set_expiry()
    return 1
  end
end
return 0
