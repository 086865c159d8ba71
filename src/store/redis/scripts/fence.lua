#!lua flags=allow-oom
-- Rule: a fence closes its scopes before a mutating handler runs.
-- The token is put down with its deadline, and the generation is closed until the latest deadline
-- of the scope. After a crash the token stays until then, and afterwards the generation is
-- missing, which is valid for nothing.
--
-- KEYS  fences, then their generations
-- ARGV  nonce, token, time until the deadline

-- A name of a foreign type counts as none. A refusal must not: what may not be read is not gone.
local function ask(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then
    error(reply)
  end
  return reply
end

local n = #KEYS / 2
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
for i = 1, n do
  local fence = KEYS[i]
  if redis.call('TYPE', fence).ok ~= 'zset' then redis.call('DEL', fence) end
  redis.call('ZREMRANGEBYSCORE', fence, '-inf', now)
  -- Closed, and nobody's token: the record was lost. Whose fence it was is unknown, but not for how
  -- long it was to stand, and this token's end must not be its end.
  local generation = ask('GET', KEYS[n + i])
  if type(generation) == 'string' and #generation == 17 and string.sub(generation, 1, 1) == 'c'
    and redis.call('ZCARD', fence) == 0 then
    redis.call('ZADD', fence, now + redis.call('PTTL', KEYS[n + i]), 'lost')
  end
  redis.call('ZADD', fence, now + tonumber(ARGV[3]), ARGV[2])
  local latest = tonumber(redis.call('ZREVRANGE', fence, 0, 0, 'WITHSCORES')[2])
  -- The tokens outlive the closed generation a little: between the two expiries a miss must not
  -- find the one without the other.
  redis.call('PEXPIREAT', fence, latest + 1000)
  local id = struct.pack('>I8', micros + i) .. ARGV[1]
  redis.call('SET', KEYS[n + i], 'c' .. id, 'PX', latest - now)
end
return n
