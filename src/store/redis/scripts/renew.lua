-- Rule: a holder renews its lease, and nobody else's.
--
-- KEYS  lease
-- ARGV  token, time to hold it from now
-- Reply 1 if the token holds it

-- A name of a foreign type counts as none. A refusal must not: what may not be read is not gone.
local function ask(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then
    error(reply)
  end
  return reply
end

if ask('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
