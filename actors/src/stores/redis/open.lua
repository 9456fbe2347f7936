-- Opens a session, unless a later epoch is known; replaces the device's, drops dead ones, prunes the oldest.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- ARGV     2 digest · 3 app · 4 device, 0 is none · 5 epoch · 6 idle life, s · 7 absolute life, s · 8 live sessions at
--          most
-- returns  {created, idle end, absolute end} in Unix seconds, or nil for an epoch that has passed

local all, epoch = read()
if tonumber(ARGV[5]) < epoch then
  return false
end

-- The write comes first: a full store then refuses the whole sign-in and closes nothing.
local idle, absolute = seconds + ARGV[6], seconds + ARGV[7]
redis.call('HSET', KEYS[1], ARGV[2], line(ARGV[3], ARGV[4], seconds, idle, absolute, ARGV[5]))

local others = {}
for _, session in ipairs(all) do
  if not session.live or (ARGV[4] ~= '0' and session.device == ARGV[4]) then
    redis.call('HDEL', KEYS[1], session.name)
  elseif session.name ~= ARGV[2] then
    others[#others + 1] = session
  end
end

-- Within one second, what was written first is older.
table.sort(others, function(a, b)
  if a.created ~= b.created then
    return tonumber(a.created) < tonumber(b.created)
  end
  return a.order < b.order
end)
for i = 1, #others + 1 - tonumber(ARGV[8]) do
  if others[i] then
    redis.call('HDEL', KEYS[1], others[i].name)
  end
end

settle()
return {seconds, idle, absolute}
