-- Charges one to a rate, or checks whether there is room.
--
-- KEYS[1]  a counter (see counter.lua)
-- ARGV     2 limit · 3 window, ms · 4 charge | peek
-- returns  nil if there is room, or how long to wait, ms

local wait = rate_wait(1, ARGV[2], ARGV[3])
if not wait and ARGV[4] == 'charge' then
  charge_rate(1, ARGV[3])
end
return wait or false
