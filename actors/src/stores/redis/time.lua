-- Put in front of every script: the time, by the clock of Redis, so that all nodes agree.
--
-- ARGV[1]  milliseconds by which tests have moved the time; else 0

local shift = tonumber(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + shift
