-- For wrk: sends the requests of a file in turn, and says in one line of JSON what came back.
-- Arguments: the file, in which "\0" ends each request, and the status that every answer must have.

local requests, position = {}, 0
local expected, main

function setup(thread)
   main = thread
end

function init(arguments)
   for request in io.open(arguments[1], "rb"):read("*a"):gmatch("[^%z]+") do
      requests[#requests + 1] = request
   end
   expected = tonumber(arguments[2])
   -- Global: done() runs in another Lua state, and can ask for globals only.
   wrong, example = 0, ""
end

function request()
   position = position % #requests + 1
   return requests[position]
end

function response(status, headers)
   if status ~= expected then
      wrong = wrong + 1
      example = status .. " " .. (headers["cache-status"] or "")
   end
end

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.timeout
   print(string.format(
      '{"microseconds":%d,"requests":%d,"p50":%d,"p99":%d,"wrong":%d,"failed":%d,"example":"%s"}',
      summary.duration, summary.requests, latency:percentile(50), latency:percentile(99),
      main:get("wrong"), failed, main:get("example")))
end
