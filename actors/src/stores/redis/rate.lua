-- Charges one to a rate, or looks whether it would fit. The window opens with the first charge and closes as a whole.
--
-- KEYS[1]  pc:limit:<scope>:<digest> (see counter.lua)
-- ARGV     2 charges that fit · 3 window, ms · 4 charge | peek
-- returns  nil if it fits, or when to come back, ms

local count, ends = read()
if count >= tonumber(ARGV[2]) then
  return ends > 0 and ends - now or tonumber(ARGV[3])
end
if ARGV[4] == 'charge' then
  write(count + 1, ends > 0 and ends or now + ARGV[3], 0)
end
return false
