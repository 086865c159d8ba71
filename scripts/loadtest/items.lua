-- Requests for items, by turns, and now and then a write; at the end all figures as one line of
-- JSON. Arguments: how many items, of how many requests in a thousand are writes, the written path
-- ("each" for that of the item).
local requests, at = {}, 0

function init(args)
    local keys, writes, path = tonumber(args[1]), tonumber(args[2]), args[3]
    local headers = { ["x-tenant"] = "4" }
    for turn = 1, math.max(keys, 1000) do
        local item = "/items/" .. (1000 + turn % keys)
        -- Spread evenly, and not in step with the keys.
        if (turn * 377) % 1000 < writes then
            requests[turn] = wrk.format("PUT", path == "each" and item or path, headers)
        else
            requests[turn] = wrk.format("GET", item, headers)
        end
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local points = {}
    for _, p in ipairs({ 1, 5, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 97, 98, 99, 99.5, 99.9, 99.99 }) do
        points[#points + 1] = string.format("[%g,%d]", p, latency:percentile(p))
    end
    local e = summary.errors
    print(string.format(
        '@{"requests":%d,"micros":%d,"bytes":%d,"status":%d,"connect":%d,"read":%d,"write":%d,'
            .. '"timeout":%d,"mean":%.1f,"max":%d,"percentiles":[%s]}',
        summary.requests, summary.duration, summary.bytes, e.status, e.connect, e.read, e.write,
        e.timeout, latency.mean, latency.max, table.concat(points, ",")
    ))
end
