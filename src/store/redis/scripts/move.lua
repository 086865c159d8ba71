#!lua flags=allow-oom
-- Rule: an invalidation moves the generations that exist, and creates none.
-- A closed one stays closed, under a new id and with the lifetime it had: else this would open
-- somebody's fence. A soft move keeps up to three older ids behind the new one. A full server must
-- not refuse this, hence the flag. Epochs are moved by the same rule, always with 'hard': an epoch
-- has nothing behind it.
--
-- KEYS  generations, then epochs
-- ARGV  nonce, 'soft' or 'hard', how many generations there are
-- Reply how many generations were moved

-- A name of a foreign type counts as none. A refusal must not: what may not be read is not gone.
local function ask(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then
    error(reply)
  end
  return reply
end

local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local generations = tonumber(ARGV[3])
local moved = 0
for i, name in ipairs(KEYS) do
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
return moved
