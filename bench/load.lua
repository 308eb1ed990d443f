-- One kind of request for wrk, told by its arguments: METHOD, number of users, a number that makes
-- this run's values differ from those of every other run. Prints one line of JSON at the end.
local method, users, run, count

function init(args)
  method = args[1]
  users = tonumber(args[2])
  run = args[3]
  count = 0
end

function request()
  count = count + 1
  local path = "/users/" .. (count % users + 1)
  if method == "GET" then return wrk.format("GET", path) end
  local body = '{"phone":"' .. run .. "-" .. count .. '"}'
  return wrk.format(method, path, { ["Content-Type"] = "application/json" }, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.3f,"p50":%.3f,"p99":%.3f,"max":%.3f,"failed":%d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
