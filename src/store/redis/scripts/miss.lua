-- Rule: a miss prepares its fill in one step.
-- What is missing of the generations and the epoch is created, closed where the scope has live
-- fence tokens, so that a lost generation opens nobody's fence. Then the answer, the first that
-- holds: 3 closed, 2 again (a valid entry has appeared), 1 wait (the lease is held under these very
-- stamps and this epoch), 0 granted. The stamps in the answer are read here and never come from
-- the lease.
--
-- The configuration of the caller is put on the tenant's list before any handler runs, so that
-- whoever invalidates under another one finds it there.
--
-- KEYS  entry, lease, epoch, generations, their fences, and with a configuration its list and the
--       generation of the whole tenant
-- ARGV  nonce, keep, run, scopes digest, '1' to ignore the entry, token or '', lease time, the
--       stamps of further scopes, which other nodes have, or ''; the configuration or ''
-- Reply {code, and 16 more if another configuration may have entries, now in ms, epoch, stamps, token of the lease's holder}; the stamp of a closed
--       generation is '', and so is the token where nobody else holds the lease

local own = ARGV[9]
local n = (#KEYS - 3 - (own ~= '' and 2 or 0)) / 2
local keep = tonumber(ARGV[2])
local alone = true
if own ~= '' then alone = select(2, join(KEYS[#KEYS - 1], KEYS[#KEYS], own, keep)) end
local now, mint = clock(ARGV[1])
local closed, stamps = ensure(3, n, keep, now, mint)

local epoch = read(KEYS[3])
if #epoch == 16 then
  prolong(KEYS[3], keep)
else
  epoch = mint()
  redis.call('SET', KEYS[3], epoch, 'PX', 2 * keep)
end

local code = 0
local holder = ''
local all = table.concat(stamps) .. ARGV[8]
local seal = epoch .. all
if closed then
  code = 3
else
  if ARGV[5] ~= '1' then
    local want = 'TRC\1' .. ARGV[3] .. ARGV[4] .. string.char(n + #ARGV[8] / 16) .. all
    local head = ask('GETRANGE', KEYS[1], 0, #want + 7)
    -- Compared as a number: the order of two strings would depend on the server's locale.
    if type(head) == 'string' and #head == #want + 8 and string.sub(head, 1, #want) == want
      and struct.unpack('>I8', head, #want + 1) > now then
      code = 2
    end
  end
  if code == 0 and ARGV[6] ~= '' then
    local held = read(KEYS[2])
    if string.sub(held, 17) == seal and string.sub(held, 1, 16) ~= ARGV[6] then
      code = 1
      holder = string.sub(held, 1, 16)
    else
      redis.call('SET', KEYS[2], ARGV[6] .. seal, 'PX', ARGV[7])
    end
  end
end

local reply = {code + (alone and 0 or 16), now, epoch}
for i = 1, n do reply[3 + i] = stamps[i] end
reply[4 + n] = holder
return reply
