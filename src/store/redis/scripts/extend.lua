-- Rule: a fill extends the generations that it rests on and never shortens them, and is refused if
-- one has moved; this is for one on a node of its own.
--
-- KEYS  generation
-- ARGV  stamp, time to keep
-- Reply 1 if the generation is still the stamp's

local ttl = tonumber(ARGV[2])
local value = ask('GET', KEYS[1])
if type(value) ~= 'string' or #value % 16 ~= 0 or #value > 64
  or string.sub(value, 1, 16) ~= ARGV[1] then
  return 0
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < ttl then redis.call('PEXPIRE', KEYS[1], 2 * ttl) end
return 1
