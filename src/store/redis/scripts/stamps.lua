-- Whether this generation is another than the stamp, closed or not there.
local function has_moved(name, stamp)
  local value = read(name)
  return #value % 16 ~= 0 or #value > 64 or string.sub(value, 1, 16) ~= stamp
end

-- Has it live for as long at least, if it lives.
local function extend(name, ttl)
  local left = redis.call('PTTL', name)
  -- Twice as long as needed, so that the next fill finds nothing to extend.
  if left >= 0 and left < ttl then redis.call('PEXPIRE', name, 2 * ttl) end
end
