-- How long the next try has to wait. Changes nothing.
--
-- KEYS[1]  a counter (see counter.lua)
-- ARGV     2 tries at most
-- returns  nil if it need not, or how long to wait, ms

return backoff_wait(1, ARGV[2]) or false
