-- Rule: a fence closes its scopes before a mutating handler runs.
-- The token is put down with its deadline, and the generation is closed until the latest deadline
-- of the scope. After a crash the token stays until then, and afterwards the generation is
-- missing, which is valid for nothing.
--
-- Where entries of the tenant may be those of another configuration, the whole tenant is one of the
-- scopes.
--
-- KEYS  fences, then their generations; with a configuration then its list, and the fence and the
--       generation of the whole tenant
-- ARGV  nonce, token, time until the deadline, the configuration or ''
-- Reply how many scopes there were; 2^20 more if there may have been another configuration

local own = ARGV[4]
local n = (#KEYS - (own ~= '' and 3 or 0)) / 2
local pairs_of = {}
for i = 1, n do pairs_of[i] = {KEYS[i], KEYS[n + i]} end
local others = own ~= '' and has_others(KEYS[2 * n + 1], KEYS[2 * n + 3], own)
if others then pairs_of[n + 1] = {KEYS[2 * n + 2], KEYS[2 * n + 3]} end
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
for i, pair in ipairs(pairs_of) do
  local fence, generation = pair[1], pair[2]
  if redis.call('TYPE', fence).ok ~= 'zset' then redis.call('DEL', fence) end
  redis.call('ZREMRANGEBYSCORE', fence, '-inf', now)
  -- Closed, and nobody's token: the record was lost. Whose fence it was is unknown, but not for how
  -- long it was to stand, and this token's end must not be its end.
  local value = ask('GET', generation)
  if type(value) == 'string' and #value == 17 and string.sub(value, 1, 1) == 'c'
    and redis.call('ZCARD', fence) == 0 then
    redis.call('ZADD', fence, now + redis.call('PTTL', generation), 'lost')
  end
  redis.call('ZADD', fence, now + tonumber(ARGV[3]), ARGV[2])
  local latest = tonumber(redis.call('ZREVRANGE', fence, 0, 0, 'WITHSCORES')[2])
  -- The tokens outlive the closed generation a little: between the two expiries a miss must not
  -- find the one without the other.
  redis.call('PEXPIREAT', fence, latest + 1000)
  local id = struct.pack('>I8', micros + i) .. ARGV[1]
  redis.call('SET', generation, 'c' .. id, 'PX', latest - now)
end
return n + (others and 1048576 or 0)
