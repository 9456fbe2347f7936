-- Put in front of every script over counters. The functions take the position of a counter in KEYS.
--
-- KEYS[i]  pc:limit:<scope>:<digest> or pc:limit:{user}:<scope>:<digest>, a string that expires when the counter is
--          forgotten
--   value  count:ends:wait, decimal; it is forgotten at `ends` and refuses until `wait`, both Unix ms

-- Returns count, end and wait; zeros if the counter is forgotten.
local function read_counter(i)
  local count, ends, wait = string.match(redis.call('GET', KEYS[i]) or '', '^(%d+):(%d+):(%d+)$')
  if ends and tonumber(ends) > now then
    return tonumber(count), tonumber(ends), tonumber(wait)
  end
  return 0, 0, 0
end

local function write_counter(i, count, ends, wait)
  redis.call('SET', KEYS[i], string.format('%.0f:%.0f:%.0f', count, ends, wait))
  redis.call('PEXPIREAT', KEYS[i], string.format('%.0f', ends - shift))
end

-- A rate: the window is fixed and opens with the first charge. Returns how long to wait, ms, or nil if there is room.
local function rate_wait(i, limit, window)
  local count, ends = read_counter(i)
  if count >= tonumber(limit) then
    return ends > 0 and ends - now or tonumber(window)
  end
end

local function charge_rate(i, window)
  local count, ends = read_counter(i)
  write_counter(i, count + 1, ends > 0 and ends or now + window, 0)
end

-- A backoff: after the free tries each wait is twice as long as the one before. Returns how long to wait, ms, or nil if
-- no wait is running and there were not too many tries.
local function backoff_wait(i, most)
  local count, ends, wait = read_counter(i)
  if count >= tonumber(most) then
    return math.max(ends - now, 0)
  end
  if wait > now then
    return wait - now
  end
end

local function charge_backoff(i, free, first, longest, forgotten)
  local count = read_counter(i) + 1
  local pause, over = 0, count - free
  if over > 0 then
    -- A double holds whole numbers up to 2^53. The longest wait is reached long before.
    pause = math.min(first * 2 ^ math.min(over - 1, 52), tonumber(longest))
  end
  write_counter(i, count, now + math.max(pause, tonumber(forgotten)), now + pause)
end

-- Forgets so many counters from position `i`, and takes one charge back from all further ones, with the wait that it
-- caused.
local function forgive(i, cleared)
  for at = i, #KEYS do
    if at < i + cleared then
      redis.call('DEL', KEYS[at])
    else
      local count, ends = read_counter(at)
      if count > 0 then
        write_counter(at, count - 1, ends, 0)
      end
    end
  end
end
