-- Put in front of every script over a counter.
--
-- KEYS[1]  pc:limit:<scope>:<digest>, a string that expires when the counter is forgotten
--   value  count:ends:wait, decimal; it is forgotten at `ends` and refuses until `wait`, both Unix ms

-- Returns count, end and wait; zeros if the counter is forgotten.
local function read()
  local count, ends, wait = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+):(%d+)$')
  if ends and tonumber(ends) > now then
    return tonumber(count), tonumber(ends), tonumber(wait)
  end
  return 0, 0, 0
end

local function write(count, ends, wait)
  redis.call('SET', KEYS[1], string.format('%.0f:%.0f:%.0f', count, ends, wait))
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ends - shift))
end
