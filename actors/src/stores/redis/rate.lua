-- Charges one to a rate, or checks whether there is room. The window is fixed and opens with the first charge.
--
-- KEYS[1]  pc:limit:<scope>:<digest> (see counter.lua)
-- ARGV     2 limit · 3 window, ms · 4 charge | peek
-- returns  nil if there is room, or how long to wait, ms

local count, ends = read()
if count >= tonumber(ARGV[2]) then
  return ends > 0 and ends - now or tonumber(ARGV[3])
end
if ARGV[4] == 'charge' then
  write(count + 1, ends > 0 and ends or now + ARGV[3], 0)
end
return false
