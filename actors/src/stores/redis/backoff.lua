-- Charges a try, unless a wait is running or there were too many tries. After the free tries each wait is twice as long
-- as the one before.
--
-- KEYS[1]  pc:limit:<scope>:<digest> (see counter.lua)
-- ARGV     2 free tries · 3 first wait, ms · 4 longest wait, ms · 5 forgotten after, ms · 6 tries at most
-- returns  nil if it was charged, or how long to wait, ms

local count, ends, wait = read()
if count >= tonumber(ARGV[6]) then
  wait = ends
end
if wait > now then
  return wait - now
end
count = count + 1
local pause, over = 0, count - ARGV[2]
if over > 0 then
  -- A double holds whole numbers up to 2^53. The longest wait is reached long before.
  pause = math.min(ARGV[3] * 2 ^ math.min(over - 1, 52), tonumber(ARGV[4]))
end
write(count, now + math.max(pause, tonumber(ARGV[5])), now + pause)
return false
