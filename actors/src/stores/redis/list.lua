-- Reads the live sessions.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- returns  digest, value, digest, value … in the order they were written

local live = {}
for _, session in ipairs((read())) do
  if session.live then
    live[#live + 1] = session.name
    live[#live + 1] = session.line
  end
end
return live
