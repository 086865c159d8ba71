-- Rule: a miss reads the generations that are on another node than the entry before anything else.
-- What is missing is created, closed where the scope has live fence tokens, so that a lost generation
-- opens nobody's fence. The configuration of the caller is put on the tenant's list, where that is on
-- the same node: before any handler runs, so that whoever invalidates under another one finds it there.
--
-- KEYS  generations, their fences, and with a configuration its list and the generation of the whole
--       tenant
-- ARGV  nonce, keep, the configuration or ''
-- Reply {1 if one is closed, and 16 more if another configuration may have entries, now in ms, ids}; the
--       id of a closed one is ''

local own = ARGV[3]
local n = (#KEYS - (own ~= '' and 2 or 0)) / 2
local keep = tonumber(ARGV[2])
local alone = true
if own ~= '' then alone = select(2, join(KEYS[#KEYS - 1], KEYS[#KEYS], own, keep)) end
local now, mint = clock(ARGV[1])
local closed, ids = ensure(0, n, keep, now, mint)
return {(closed and 1 or 0) + (alone and 0 or 16), now, unpack(ids)}
