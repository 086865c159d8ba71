-- Rule: a lifted fence leaves a new generation behind.
-- The token and those past their deadline are taken off. None left: a new open generation, so that
-- nothing from before is valid. Others left: still closed, under a new id, until the latest of
-- their deadlines. A token that is not there opens nothing: the record was lost, and with it the
-- tokens of others; the scope stays closed for as long as it was to be, or missing.
--
-- Where entries of the tenant may be those of another configuration, the whole tenant is one of the
-- scopes.
--
-- KEYS  fences, then their generations; with a configuration then its list, and the fence and the
--       generation of the whole tenant
-- ARGV  nonce, token, shortest lifetime of an opened generation, the configuration or ''
-- Reply how many scopes there were; 2^20 more if there may have been another configuration

-- Whether a fence has this token: others may have gone since it was put up.
local function is_there(fence, token)
  local tokens = ask('ZREVRANGE', fence, 0, -1)
  for i = 1, #tokens do
    if tokens[i] == token then return true end
  end
  return false
end

local own = ARGV[4]
local n = (#KEYS - (own ~= '' and 3 or 0)) / 2
local pairs_of = {}
for i = 1, n do pairs_of[i] = {KEYS[i], KEYS[n + i]} end
local others = own ~= '' and has_others(KEYS[2 * n + 1], KEYS[2 * n + 3], own)
local whole = others or own ~= '' and is_there(KEYS[2 * n + 2], ARGV[2])
if whole then pairs_of[n + 1] = {KEYS[2 * n + 2], KEYS[2 * n + 3]} end
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
for i, pair in ipairs(pairs_of) do
  local fence, generation = pair[1], pair[2]
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
if others then
  -- Nothing from before is valid: the list begins anew.
  local left = redis.call('PTTL', KEYS[2 * n + 3])
  if left > 0 then redis.call('SET', KEYS[2 * n + 1], own, 'PX', left) end
end
return n + (others and 1048576 or 0)
