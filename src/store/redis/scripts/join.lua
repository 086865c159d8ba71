-- Adds a configuration to those that may have entries of the tenant. Answers whether it was there, and
-- whether it is the only one.
-- A list that was lost while the tenant's generation stands may have had any others: eight zero bytes.
local function join(list, tenant, own, keep)
  local known = ask('GET', list)
  if type(known) ~= 'string' or #known % 8 ~= 0 then
    known = redis.call('EXISTS', tenant) == 1 and string.rep('\0', 8) or ''
  end
  for at = 1, #known, 8 do
    if string.sub(known, at, at + 7) == own then
      if redis.call('PTTL', list) < keep then redis.call('PEXPIRE', list, 2 * keep) end
      return true, known == own
    end
  end
  if #known >= 64 then known = string.rep('\0', 8) end
  redis.call('SET', list, known .. own, 'PX', math.max(2 * keep, redis.call('PTTL', list)))
  return false, known == ''
end
