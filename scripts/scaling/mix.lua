-- Requests for items at random, some of them new ones, and some writes; at the end what was sent, as one
-- line of JSON. Arguments: how many items are asked for again and again, of how many requests in a
-- thousand are writes and new items, the number of the first new one, how many tenants there are,
-- how many milliseconds a client waits before a request, on average, and where the written items begin.
local threads = {}
local keys, share_writes, share_fresh, tenants, next_fresh, pause, written
writes, fresh = 0, 0

function setup(thread)
    threads[#threads + 1] = thread
end

function init(args)
    keys, share_writes, share_fresh = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
    next_fresh, tenants = tonumber(args[4]), tonumber(args[5])
    pause, written = tonumber(args[6]), tonumber(args[7])
    math.randomseed(next_fresh)
    if pause > 0 then
        function delay()
            return math.random(0, 2 * pause)
        end
    end
end

function request()
    -- The host is in the key: instances behind one name share entries.
    local headers = { ["x-tenant"] = tostring(math.random(tenants)), ["Host"] = "fleet" }
    local kind = math.random(1000)
    if kind <= share_writes then
        writes = writes + 1
        return wrk.format("PUT", "/items/" .. (written + math.random(keys)), headers)
    elseif kind <= share_writes + share_fresh then
        fresh = fresh + 1
        next_fresh = next_fresh + 1
        return wrk.format("GET", "/items/" .. next_fresh, headers)
    end
    return wrk.format("GET", "/items/" .. (1000 + math.random(keys)), headers)
end

function done(summary)
    local w, f = 0, 0
    for _, thread in ipairs(threads) do
        w, f = w + thread:get("writes"), f + thread:get("fresh")
    end
    local e = summary.errors
    print(string.format(
        '@{"requests":%d,"micros":%d,"writes":%d,"fresh":%d,"failed":%d}',
        summary.requests, summary.duration, w, f, e.status + e.connect + e.read + e.write + e.timeout
    ))
end
