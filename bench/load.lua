-- One kind of request for wrk, told by its arguments: METHOD, path (%d becomes the id of a random user),
-- number of users, a text that makes this run's values differ from those of every other run, so that
-- every update changes something, the property to change, and an API key. Prints one line of JSON at the end.
local method, path, users, run, count, head, field

function init(args)
  method, path, users, run, count = args[1], args[2], tonumber(args[3]), args[4], 0
  field = args[5] or "phone"
  -- wrk.format builds a table of headers for each request; a text costs this machine less.
  head = " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port .. "\r\n"
  if args[6] then head = head .. "Authorization: Bearer " .. args[6] .. "\r\n" end
  math.randomseed(os.time())
end

local full = '","first_name":"Changed","last_name":"Person","interested_in":"cats","email":"person%d@example.com"}'

function request()
  count = count + 1
  local id = math.random(users)
  local line = method .. " " .. string.format(path, id) .. head
  if method == "GET" then return line .. "\r\n" end
  local body = '{"' .. field .. '":"' .. run .. "-" .. count
  body = body .. (method == "PUT" and string.format(full, id) or '"}')
  return line .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.3f,"bytes":%d,"p50":%.3f,"p99":%.3f,"max":%.3f,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
