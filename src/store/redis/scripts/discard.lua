-- Rule: bytes that don't decode are removed only if they are still there unchanged.
-- The length is compared first, then the beginning and the end that the caller sent: all of a
-- small entry, 1 KiB of either end of a large one. An entry that was stored anew differs in its
-- first bytes, which hold its stamps.
--
-- KEYS  entry
-- ARGV  length, beginning, end or ''
-- Reply 1 if it was removed

local size = ask('STRLEN', KEYS[1])
if type(size) ~= 'number' or size ~= tonumber(ARGV[1]) then return 0 end
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[2] - 1) ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' and redis.call('GETRANGE', KEYS[1], -#ARGV[3], -1) ~= ARGV[3] then return 0 end
return redis.call('UNLINK', KEYS[1])
