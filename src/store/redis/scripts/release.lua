-- Rule: a holder gives its lease up, and nobody else's.
--
-- KEYS  lease
-- ARGV  token
-- Reply 1 if the token held it

if ask('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
