-- Checks of many users' tokens, for wrk. In the folder of this repository:
--
--   export PORTCULLIS_PROFILE=loadtest
--   portcullis apps add load
--   portcullis users generate --count 10000 --tokens users.ndjson
--   portcullis serve
--
-- And in a second terminal, in the same folder:
--
--   wrk -t2 -c64 -d30s -s tests/load/check.lua http://127.0.0.1:8080 -- users.ndjson
--
-- Tokens that another run has replaced or ended are answered 401: before the next one repeat `users generate` with --force.

local requests = {}

local function refuse(reason)
  io.stderr:write(reason, "\n")
  os.exit(2)
end

-- wrk runs this once in each thread, which then has a generator of its own.
function init(arguments)
  local path = arguments[1] or refuse("which file has the users? wrk … URL -- users.ndjson")
  local file, reason = io.open(path)
  for line in (file or refuse(reason)):lines() do
    local token = line:match('"token":"([^"]+)"') or refuse(path .. " has a line without a token")
    requests[#requests + 1] = wrk.format("GET", "/api/v1/sessions/current", { Authorization = "Bearer " .. token })
  end
  if #requests == 0 then
    refuse(path .. " has no users")
  end
  math.randomseed(tonumber(tostring(requests):match("0x(%x+)"), 16) % 2147483647)
end

function request()
  return requests[math.random(#requests)]
end

-- Answers of 400 and above, and requests without an answer.
function done(summary)
  local e = summary.errors
  local errors = e.status + e.timeout + e.connect + e.read + e.write
  io.write(string.format("%d requests, %d errors\n", summary.requests, errors))
end
