#!lua flags=allow-oom
-- Rule: a lifted fence leaves a new generation behind.
-- The token and those past their deadline are taken off. None left: a new open generation, so that
-- nothing from before is valid. Others left: still closed, under a new id, until the latest of
-- their deadlines. A token that is not there opens nothing: the record was lost, and with it the
-- tokens of others; the scope stays closed for as long as it was to be, or missing.
--
-- KEYS  fences, then their generations
-- ARGV  nonce, token, shortest lifetime of an opened generation

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
  local fence, generation = KEYS[i], KEYS[n + i]
  local id = struct.pack('>I8', micros + i) .. ARGV[1]
  local found = ask('ZREM', fence, ARGV[2]) == 1
  ask('ZREMRANGEBYSCORE', fence, '-inf', now)
  local last = ask('ZREVRANGE', fence, 0, 0, 'WITHSCORES')
  if last[2] then
    redis.call('SET', generation, 'c' .. id, 'PX', tonumber(last[2]) - now)
  elseif not found then
    local value = ask('GET', generation)
    local closed = type(value) == 'string' and #value == 17 and string.sub(value, 1, 1) == 'c'
    redis.call('SET', generation, (closed and 'c' or '') .. id, 'XX', 'KEEPTTL')
  else
    redis.call('DEL', fence)
    local left = math.max(redis.call('PTTL', generation), tonumber(ARGV[3]))
    redis.call('SET', generation, id, 'PX', left)
  end
end
return n
