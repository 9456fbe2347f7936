-- Put in front of every script over a user's sessions.
--
-- KEYS[1]  pc:{user}:sessions, a hash that expires with the last of its sessions; if it holds an epoch, not earlier
--          than 10 minutes after its last change
--   field  16 raw bytes, the digest of a token
--   value  app:device:created:idle:absolute[:epoch[:more]], decimal; app 0 is a page of this server, device 0 is none, times
--          are Unix seconds, the epoch is that of the user at sign-in and is left out if it is 0, and what a newer program
--          wrote behind it is kept; up to 64 bytes the hash keeps its compact encoding
--   field  epoch, if it is not 0: a sign-in that began before it is refused

local EPOCH_KEPT = 600
local seconds = math.floor(now / 1000)

-- Returns all sessions, expired ones included, in the order of writing, and the epoch.
local function parse(flat)
  local all, epoch = {}, 0
  for i = 1, #flat, 2 do
    if flat[i] == 'epoch' then
      epoch = tonumber(flat[i + 1])
    else
      local app, device, created, idle, absolute, born, more =
        string.match(flat[i + 1], '^(%d+):(%d+):(%d+):(%d+):(%d+):?(%d*)(.*)$')
      local ends = math.min(tonumber(idle), tonumber(absolute))
      all[#all + 1] = {
        id = flat[i], value = flat[i + 1], app = app, device = device, created = created, absolute = absolute,
        born = born, more = more, epoch = tonumber(born) or 0, ends = ends, live = ends > seconds, order = i,
      }
    end
  end
  return all, epoch
end

local function read()
  return parse(redis.call('HGETALL', KEYS[1]))
end

local function value(app, device, created, idle, absolute, born, more)
  local text = string.format('%s:%s:%.0f:%.0f:%.0f', app, device, created, idle, absolute)
  if more ~= '' then
    return text .. ':' .. born .. more
  end
  if born ~= '' and born ~= '0' then
    text = text .. ':' .. born
  end
  return text
end

-- Sets the expiry of the key by its content. Without any it is deleted at once.
local function set_expiry()
  -- While its slot moves to another node of a cluster, a key that a script has emptied may not be touched any more.
  local flat = redis.pcall('HGETALL', KEYS[1])
  if flat.err or #flat == 0 then
    return
  end
  local all, epoch = parse(flat)
  local last = 0
  for _, session in ipairs(all) do
    last = math.max(last, session.ends)
  end
  if epoch > 0 then
    last = math.max(last, seconds + EPOCH_KEPT)
  end
  redis.call('EXPIREAT', KEYS[1], math.ceil(last - shift / 1000))
end
