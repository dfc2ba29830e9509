-- Replaces a side's state, if it still is what the node believes, and everything that follows from it, in one step.
-- KEYS: the side, deadlines, index, sequence, channel. ARGV: what the node believes, what it is to be ('' is nothing),
-- deadline, ttl, whether it has leases, its name, the shard's capacity, what to publish ('' is nothing).
-- Gives the time and 'done' with the sequence, 'stale' with the state, or 'full'.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local side, deadlines, index, sequence = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local name = ARGV[6]

local current = redis.call('GET', side) or ''
if current ~= ARGV[1] then return {now, 'stale', current} end

if ARGV[2] ~= '' then
  if current == '' and redis.call('ZCARD', deadlines) >= tonumber(ARGV[7]) and not redis.call('ZSCORE', deadlines, name) then
    return {now, 'full'}
  end
  redis.call('SET', side, ARGV[2], 'PX', ARGV[4])
  redis.call('ZADD', deadlines, ARGV[3], name)
  if ARGV[5] == '1' then
    redis.call('ZADD', index, 0, name)
  else
    redis.call('ZREM', index, name)
  end
  -- What nobody sweeps any more goes by itself, too; looked after once an hour.
  local hour = 3600000 + tonumber(ARGV[4])
  for key = 2, 3 do
    if redis.call('PTTL', KEYS[key]) < hour then
      redis.call('PEXPIRE', KEYS[key], 2 * hour)
      redis.call('PEXPIRE', sequence, 604800000)
    end
  end
elseif current ~= '' then
  redis.call('DEL', side)
  redis.call('ZREM', deadlines, name)
  redis.call('ZREM', index, name)
end

if ARGV[8] == '' then
  return {now, 'done', tonumber(redis.call('GET', sequence) or '0')}
end
local place = redis.call('INCR', sequence)
if place == 1 then
  -- A server that lost everything goes on after what it said before. It begins 10 ms back, so that its first commits do
  -- not come up to moments at which it was there already.
  place = now - 10000
  redis.call('SET', sequence, string.format('%.0f', place), 'PX', 604800000)
end
redis.call('SPUBLISH', KEYS[5], string.format('%.0f ', place) .. ARGV[8])
return {now, 'done', place}
