-- Rule: a miss reads the generation of all tenants before anything else, where it is on a node of
-- its own.
-- What is missing is created, closed where the scope has live fence tokens, so that a lost generation
-- opens nobody's fence.
--
-- KEYS  generation, its fence
-- ARGV  nonce, keep
-- Reply {1 if it is closed, id or '', now in ms}

local keep = tonumber(ARGV[2])
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)

local value = ask('GET', KEYS[1])
local size = type(value) == 'string' and #value or 0
-- Closed for ever is nobody's fence, and counts as lost.
if size == 17 and string.sub(value, 1, 1) == 'c' and redis.call('PTTL', KEYS[1]) >= 0 then
  return {1, '', now}
end
if size >= 16 and size <= 64 and size % 16 == 0 then
  -- Lifetimes have slack, so that one is seldom prolonged: watchers of the name see every change.
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left < keep / 2 then redis.call('PEXPIRE', KEYS[1], 2 * keep) end
  return {0, string.sub(value, 1, 16), now}
end
local id = struct.pack('>I8', micros) .. ARGV[1]
local last = ask('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local deadline = last[2] and tonumber(last[2]) or 0
if deadline > now then
  redis.call('SET', KEYS[1], 'c' .. id, 'PX', deadline - now)
  return {1, '', now}
end
redis.call('SET', KEYS[1], id, 'PX', 2 * keep)
return {0, id, now}
