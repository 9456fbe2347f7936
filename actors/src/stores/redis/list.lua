-- Lists the live sessions.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- returns  digest, value, digest, value … in the order of writing

local live = {}
for _, session in ipairs((read())) do
  if session.live then
    live[#live + 1] = session.id
    live[#live + 1] = session.value
  end
end
return live
