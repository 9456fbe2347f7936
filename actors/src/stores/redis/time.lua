-- Put in front of every script: the time on which all nodes agree.
--
-- ARGV[1]  milliseconds that time was moved by; 0 outside tests

local shift = tonumber(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + shift
