-- Rule: an entry appears only if nothing has moved since its handler began.
-- The bytes are here already, under a name of their own; this compares the epoch and every
-- generation with what the miss had answered, makes sure that nobody else holds the lease, and
-- renames. Whatever refuses takes the bytes away again. Lifetimes are extended, never shortened.
--
-- KEYS  bytes on their way in, entry, lease, epoch, generations
-- ARGV  token or '', time to keep, epoch, stamps
-- Reply 0 stored, 1 the bytes are gone, 2 epoch, 3 stamp, 4 lease

-- A name of a foreign type counts as none. A refusal must not: what may not be read is not gone.
local function ask(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then
    error(reply)
  end
  return reply
end

local ttl = tonumber(ARGV[2])

local function read(name)
  local value = ask('GET', name)
  if type(value) == 'string' then return value end
  return ''
end

local function refuse(code)
  redis.call('UNLINK', KEYS[1])
  return code
end

if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
if read(KEYS[4]) ~= ARGV[3] then return refuse(2) end
for i = 5, #KEYS do
  local value = read(KEYS[i])
  if #value % 16 ~= 0 or #value > 64 or string.sub(value, 1, 16) ~= ARGV[i - 1] then
    return refuse(3)
  end
end
local holder = string.sub(read(KEYS[3]), 1, 16)
if holder ~= '' and holder ~= ARGV[1] then return refuse(4) end

redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('PEXPIRE', KEYS[2], ttl)
for i = 4, #KEYS do
  local left = redis.call('PTTL', KEYS[i])
  -- Twice as long as needed, so that the next fill finds nothing to extend.
  if left >= 0 and left < ttl then redis.call('PEXPIRE', KEYS[i], 2 * ttl) end
end
if holder ~= '' then redis.call('DEL', KEYS[3]) end
return 0
