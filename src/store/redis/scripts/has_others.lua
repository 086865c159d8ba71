-- Whether entries of the tenant may be those of another configuration, which stamps them with scopes
-- that this one does not know. A list that was lost says nothing, so they may be; but without a
-- generation of the tenant nothing of it is valid.
local function has_others(list, tenant, own)
  local known = ask('GET', list)
  if type(known) ~= 'string' then return redis.call('EXISTS', tenant) == 1 end
  return known ~= own and known ~= ''
end
