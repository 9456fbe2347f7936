-- Opens a session, unless the store holds a later epoch. Replaces the session of the device, deletes expired ones, and
-- closes the oldest; sessions of pages and of applications are counted apart. Forgives the charges of the attempt, also if the epoch is too old: the password was right.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- KEYS[2]  pc:closed:{user} (see closed.lua)
-- KEYS[3]  … counters (see counter.lua): first those to forget
-- ARGV     2 digest · 3 app, 0 for pages · 4 device, 0 is none · 5 epoch · 6 idle life, s · 7 absolute life, s ·
--          8 live sessions, at most · 9 how many of the counters to forget
-- returns  {created, idle end, absolute end, digests of live sessions that were closed now and in the last minutes} with times
--          in Unix seconds, or nil if the epoch is too old

local all, epoch = read()
if tonumber(ARGV[5]) < epoch then
  forgive(3, tonumber(ARGV[9]))
  return false
end

-- Writing comes first: then a full store refuses the whole sign-in and closes nothing.
local idle, absolute = seconds + ARGV[6], seconds + ARGV[7]
redis.call('HSET', KEYS[1], ARGV[2], value(ARGV[3], ARGV[4], seconds, idle, absolute, ARGV[5], ''))
forgive(3, tonumber(ARGV[9]))

local others, closed = {}, {}
local function close(session)
  redis.call('HDEL', KEYS[1], session.id)
  if session.live then
    closed[#closed + 1] = session.id
  end
end
for _, session in ipairs(all) do
  if not session.live or (ARGV[4] ~= '0' and session.device == ARGV[4]) then
    close(session)
  elseif session.id ~= ARGV[2] and (session.app == '0') == (ARGV[3] == '0') then
    others[#others + 1] = session
  end
end

-- Of sessions of the same second, the one that was written first is older.
table.sort(others, function(a, b)
  if a.created ~= b.created then
    return tonumber(a.created) < tonumber(b.created)
  end
  return a.order < b.order
end)
for i = 1, #others + 1 - tonumber(ARGV[8]) do
  if others[i] then
    close(others[i])
  end
end

set_expiry()
return {seconds, idle, absolute, remember(closed)}
