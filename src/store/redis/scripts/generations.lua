-- Now in ms, and what mints ids: one for each thing that is created, told apart by the microseconds.
local function clock(nonce)
  local time = redis.call('TIME')
  local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local minted = 0
  return math.floor(micros / 1000), function()
    local id = struct.pack('>I8', micros + minted) .. nonce
    minted = minted + 1
    return id
  end
end

-- Lifetimes have slack, so that one is seldom prolonged: watchers of these names see every change.
local function prolong(name, keep)
  local left = redis.call('PTTL', name)
  if left >= 0 and left < keep / 2 then redis.call('PEXPIRE', name, 2 * keep) end
end

-- Sees to it that the `n` generations after this place of KEYS are there, whose fences follow them.
-- What is missing is created, closed where the scope has live fence tokens, so that a lost generation
-- opens nobody's fence. Answers whether one is closed, and their ids; that of a closed one is ''.
local function ensure(place, n, keep, now, mint)
  local closed = false
  local stamps = {}
  for i = 1, n do
    local name = KEYS[place + i]
    local value = read(name)
    local size = #value
    -- Whatever closes a scope says until when: closed for ever is nobody's fence, and counts as lost.
    if size == 17 and string.sub(value, 1, 1) == 'c' and redis.call('PTTL', name) >= 0 then
      closed = true
      stamps[i] = ''
    elseif size >= 16 and size <= 64 and size % 16 == 0 then
      prolong(name, keep)
      stamps[i] = string.sub(value, 1, 16)
    else
      local id = mint()
      local last = ask('ZREVRANGE', KEYS[place + n + i], 0, 0, 'WITHSCORES')
      local deadline = last[2] and tonumber(last[2]) or 0
      if deadline > now then
        redis.call('SET', name, 'c' .. id, 'PX', deadline - now)
        closed = true
        stamps[i] = ''
      else
        redis.call('SET', name, id, 'PX', 2 * keep)
        stamps[i] = id
      end
    end
  end
  return closed, stamps
end
