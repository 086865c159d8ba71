-- Rule: a fill extends the generations that it rests on and never shortens them, and is refused if
-- one has moved; this is for those that are on another node than the entry.
--
-- A configuration that is not on the tenant's list is put there, and refused: whoever has invalidated
-- under another one since the handler began knew nothing of this entry.
--
-- KEYS  generations, and with a configuration its list and the generation of the whole tenant
-- ARGV  time to keep, stamps; the configuration or ''
-- Reply 1 if each generation is still the stamp's

local ttl = tonumber(ARGV[1])
local own = ARGV[#ARGV]
local n = #KEYS - (own ~= '' and 2 or 0)
for i = 1, n do
  if has_moved(KEYS[i], ARGV[i + 1]) then return 0 end
end
if own ~= '' and not (join(KEYS[#KEYS - 1], KEYS[#KEYS], own, ttl)) then return 0 end
for i = 1, n do extend(KEYS[i], ttl) end
return 1
