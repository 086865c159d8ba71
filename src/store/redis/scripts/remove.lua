-- Rule: an ad-hoc removal of one key moves its epoch first.
-- A fill of that key which is under way compares the epoch and is refused. An epoch that nobody
-- has read needs no successor.
--
-- KEYS  epoch, entry
-- ARGV  nonce
-- Reply 1 if there was an entry
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
redis.call('SET', KEYS[1], struct.pack('>I8', micros) .. ARGV[1], 'XX', 'KEEPTTL')
return redis.call('UNLINK', KEYS[2])
