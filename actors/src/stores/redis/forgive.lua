-- Forgets counters, and takes one charge back from others.
--
-- KEYS[1]  … counters (see counter.lua): first those to forget
-- ARGV     2 how many of them to forget
-- returns  nil

forgive(1, tonumber(ARGV[2]))
return false
