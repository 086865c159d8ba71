-- A name of a foreign type counts as none. A refusal must not: what may not be read is not gone.
local function ask(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then
    error(reply)
  end
  return reply
end

local function read(name)
  local value = ask('GET', name)
  if type(value) == 'string' then return value end
  return ''
end
