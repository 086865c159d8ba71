-- Rule: a value that is larger than any entry goes, without being read.
-- It was not written by a fill, so there is nothing to compare it with.
--
-- KEYS  entry
-- ARGV  the largest size of an entry
-- Reply 1 if it was removed
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return 0 end
if redis.call('STRLEN', KEYS[1]) <= tonumber(ARGV[1]) then return 0 end
return redis.call('UNLINK', KEYS[1])
