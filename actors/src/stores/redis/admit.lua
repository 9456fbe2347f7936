-- Charges an attempt to all of its counters, or to none. First everything is asked, then everything is written.
--
-- In a cluster the counters of an address and those of an account are in different slots. There, this is asked without
-- an address, after `rate.lua` has charged that.
--
-- KEYS[1]  waits of the account (see counter.lua), then, if they are asked, its budget, then attempts and failures of
--          the address
-- ARGV     2 free tries · 3 first wait, ms · 4 longest wait, ms · 5 forgotten after, ms · 6 tries at most ·
--          budget: 7 limit, or empty if there is none · 8 window, ms ·
--          address: 9 limit, or empty if there is none · 10 window, ms · 11 limit and 12 window, ms, of its failures ·
--          13 whether it refuses, 1 or 0
-- returns  {'admitted', 1 if the address was charged, else 0} | {'address', ms until failures leave room, or nil} |
--          {'budget', nil} | {'wait', ms}

local has_budget, has_address = ARGV[7] ~= '', ARGV[9] ~= ''
local attempts = has_budget and 3 or 2

-- Returns a refusal, or nil, and whether the attempt is to be charged to the address.
local function ask_address()
  if not has_address then
    return nil, false
  end
  local full = rate_wait(attempts, ARGV[9], ARGV[10])
  if full and ARGV[13] == '1' then
    return {'address', rate_wait(attempts + 1, ARGV[11], ARGV[12]) or false}
  end
  return nil, not full
end

-- Returns a refusal, or nil.
local function ask_account()
  if has_budget and rate_wait(2, ARGV[7], ARGV[8]) then
    return {'budget', false}
  end
  local wait = backoff_wait(1, ARGV[6])
  return wait and {'wait', wait}
end

local refusal, charge_address = ask_address()
refusal = refusal or ask_account()
if refusal then
  return refusal
end
if charge_address then
  charge_rate(attempts, ARGV[10])
end
if has_budget then
  charge_rate(2, ARGV[8])
end
charge_backoff(1, ARGV[2], ARGV[3], ARGV[4], ARGV[5])
return {'admitted', charge_address and 1 or 0}
