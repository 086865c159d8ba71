-- Rule: a holder renews its lease, and nobody else's.
--
-- KEYS  lease
-- ARGV  token, time to hold it from now
-- Reply 1 if the token holds it

if ask('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
