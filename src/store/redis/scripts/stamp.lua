-- Rule: the groups that a response names are stamped only if nothing has moved since its miss.
-- They are known too late to read a generation before the handler ran. An invalidation of a group
-- moves the tenant's epochs in the same step, so an epoch that stands says that no group of the
-- tenant was invalidated meanwhile, and the generation of now is that of then. What is missing is
-- created; lifetimes are extended, never shortened. Whatever refuses changes nothing.
--
-- Where the epoch is on another node it was compared before, and what could move a group since has
-- moved the epoch first: the fill is refused then.
--
-- KEYS  epoch, generations; or the generations alone
-- ARGV  nonce, epoch of the miss or '' without one, time to keep
-- Reply {0, ids} stamped, {2} epoch, {3} a generation is closed

local keep = tonumber(ARGV[3])
local first = ARGV[2] ~= '' and 2 or 1

if first == 2 and read(KEYS[1]) ~= ARGV[2] then return {2} end

local reply = {0}
for i = first, #KEYS do
  local value = read(KEYS[i])
  local size = #value
  -- Closed for ever is not closed by a fence, and counts as none.
  if size == 17 and string.sub(value, 1, 1) == 'c' and redis.call('PTTL', KEYS[i]) >= 0 then
    return {3}
  end
  -- A value of a foreign type or size counts as none.
  reply[2 + i - first] = size >= 16 and size <= 64 and size % 16 == 0 and string.sub(value, 1, 16)
end

local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
for i = first, #KEYS do
  local at = 2 + i - first
  if reply[at] then
    extend(KEYS[i], keep)
  else
    reply[at] = struct.pack('>I8', micros + i) .. ARGV[1]
    redis.call('SET', KEYS[i], reply[at], 'PX', 2 * keep)
  end
end
return reply
