-- Takes one charge back, and ends the wait that it caused.
--
-- KEYS[1]  pc:limit:<scope>:<digest> (see counter.lua)
-- returns  nil

local count, ends = read()
if count > 0 then
  write(count - 1, ends, 0)
end
return false
