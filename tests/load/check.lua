-- Checks of many users' tokens, for wrk: wrk -t2 -c64 -d30s -s tests/load/check.lua URL -- tokens.txt
-- The file has one token per line: jq -r .token users.ndjson > tokens.txt

local requests = {}
local number = 0

-- wrk runs this once in each thread, which then has a generator of its own.
function init(arguments)
  local path = arguments[1] or error("which file has the tokens? wrk … URL -- tokens.txt")
  for token in io.lines(path) do
    requests[#requests + 1] = wrk.format("GET", "/api/v1/sessions/current", { Authorization = "Bearer " .. token })
  end
  math.randomseed(tonumber(tostring(requests):match("0x(%x+)"), 16) % 2147483647)
end

function request()
  number = math.random(#requests)
  return requests[number]
end

-- Answers of 400 and above, and requests without an answer.
function done(summary, latency)
  local e = summary.errors
  local errors = e.status + e.timeout + e.connect + e.read + e.write
  io.write(string.format("%d requests, %d errors\n", summary.requests, errors))
end
