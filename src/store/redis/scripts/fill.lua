-- Rule: an entry appears only if nothing has moved since its handler began.
-- The bytes are here already, under a name of their own; this compares the epoch and every
-- generation with what the miss had answered, makes sure that nobody else holds the lease, and
-- renames. Whatever refuses takes the bytes away again. Lifetimes are extended, never shortened.
--
-- A configuration that is not on the tenant's list is put there, and refused: whoever has invalidated
-- under another one since the handler began knew nothing of this entry.
--
-- KEYS  bytes on their way in, entry, lease, epoch, generations, and with a configuration its list and
--       the generation of the whole tenant
-- ARGV  token or '', time to keep, epoch, stamps; the configuration or ''
-- Reply 0 stored, 1 the bytes are gone, 2 epoch, 3 stamp, 4 lease

local ttl = tonumber(ARGV[2])
local own = ARGV[#ARGV]
local last = #KEYS - (own ~= '' and 2 or 0)

local function refuse(code)
  redis.call('UNLINK', KEYS[1])
  return code
end

if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
if read(KEYS[4]) ~= ARGV[3] then return refuse(2) end
for i = 5, last do
  if has_moved(KEYS[i], ARGV[i - 1]) then return refuse(3) end
end
if own ~= '' and not (join(KEYS[#KEYS - 1], KEYS[#KEYS], own, ttl)) then return refuse(3) end
local holder = string.sub(read(KEYS[3]), 1, 16)
if holder ~= '' and holder ~= ARGV[1] then return refuse(4) end

redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('PEXPIRE', KEYS[2], ttl)
for i = 4, last do extend(KEYS[i], ttl) end
if holder ~= '' then redis.call('DEL', KEYS[3]) end
return 0
