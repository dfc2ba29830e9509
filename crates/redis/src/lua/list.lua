-- Lists a shard's sides with leases whose names begin with something, narrowed by agent and channel.
-- KEYS: index, sequence. ARGV: first and last name (as ZRANGEBYLEX takes them), agent and channel ('' is any), how many,
-- what a side's key begins with, how many names may be looked at.
-- Gives the time, the sequence, whether some were left out, and name and state in turn.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {now, tonumber(redis.call('GET', KEYS[2]) or '0'), 0}
local from, agent, channel, room, work = ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[7])

-- The field of a name that begins at a place, and where the next one begins.
local function field(name, at)
  local length, scale, byte = 0, 1, nil
  repeat
    byte = string.byte(name, at)
    length = length + (byte % 128) * scale
    scale = scale * 128
    at = at + 1
  until byte < 128
  return string.sub(name, at, at + length - 1), at + length
end

local function fits(name)
  if agent == '' and channel == '' then return true end
  local _, at = field(name, 1)
  _, at = field(name, at)
  local its_agent, its_channel
  its_agent, at = field(name, at)
  its_channel = field(name, at)
  return (agent == '' or agent == ' ' .. its_agent) and (channel == '' or channel == ' ' .. its_channel)
end

while true do
  local names = redis.call('ZRANGEBYLEX', KEYS[1], from, ARGV[2], 'LIMIT', 0, 256)
  for _, name in ipairs(names) do
    local state = fits(name) and redis.call('GET', ARGV[6] .. name)
    if state then
      if room == 0 then
        answer[3] = 1
        return answer
      end
      room = room - 1
      answer[#answer + 1] = name
      answer[#answer + 1] = state
    end
  end
  if #names < 256 then return answer end
  work = work - 256
  if work <= 0 then
    answer[3] = 1
    return answer
  end
  from = '(' .. names[256]
end
