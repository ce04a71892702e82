-- Asks for a decision with a random key each time; the keys are made into whole requests before the clock starts.
local requests = {}
local body = '{"action":"classify:create"}'
for secret in io.lines(os.getenv("CLAVIGER_BENCH_KEYS")) do
  local headers = { ["Authorization"] = "Bearer " .. secret, ["Content-Type"] = "application/json" }
  requests[#requests + 1] = { headers = headers }
end
local texts = {}
function init()
  math.randomseed(42)
  for index, request in ipairs(requests) do
    texts[index] = wrk.format("POST", "/v1/authorize", request.headers, body)
  end
end
function request()
  return texts[math.random(#texts)]
end
function done(summary, latency)
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
