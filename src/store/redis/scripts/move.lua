-- Rule: an invalidation moves the generations that exist, and creates none.
-- A closed one stays closed, under a new id and with the lifetime it had: else this would open
-- somebody's fence. A soft move keeps up to three older ids behind the new one. A full server must
-- not refuse this, hence the flag. Epochs are moved by the same rule, always with 'hard': an epoch
-- has nothing behind it.
--
-- Where entries of the tenant may be those of another configuration, all of the tenant moves, always
-- hard. Then nothing from before is valid, and the list begins anew.
--
-- KEYS  generations, then epochs; with a configuration then its list and the generation of the whole
--       tenant
-- ARGV  nonce, 'soft' or 'hard', how many generations there are, the configuration or ''
-- Reply how many generations were moved; 2^20 more if there may have been another configuration

local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local generations = tonumber(ARGV[3])
local own = ARGV[4]
local n = #KEYS - (own ~= '' and 2 or 0)
local moved = 0
for i = 1, n do
  local name = KEYS[i]
  local value = ask('GET', name)
  local size = type(value) == 'string' and #value or 0
  local id = struct.pack('>I8', micros + i) .. ARGV[1]
  if size == 17 and string.sub(value, 1, 1) == 'c' then
    id = 'c' .. id
  elseif size >= 16 and size <= 64 and size % 16 == 0 then
    if ARGV[2] == 'soft' then id = id .. string.sub(value, 1, 48) end
  else
    -- Nothing, or nothing of ours: it equals no stamp, before and after.
    id = nil
  end
  if id then
    redis.call('SET', name, id, 'XX', 'KEEPTTL')
    if i <= generations then moved = moved + 1 end
  end
end
if own ~= '' and has_others(KEYS[n + 1], KEYS[n + 2], own) then
  local list, tenant = KEYS[n + 1], KEYS[n + 2]
  local value = ask('GET', tenant)
  local left = redis.call('PTTL', tenant)
  if type(value) == 'string' and left > 0 then
    local closed = #value == 17 and string.sub(value, 1, 1) == 'c'
    local id = struct.pack('>I8', micros + #KEYS) .. ARGV[1]
    redis.call('SET', tenant, (closed and 'c' or '') .. id, 'XX', 'KEEPTTL')
    redis.call('SET', list, own, 'PX', left)
  end
  moved = moved + 1048576
end
return moved
