-- Claims sides whose deadline has come: nobody else is given them until the claim is over, or the side is updated.
-- KEYS: deadlines, index, sequence. ARGV: the moment, the end of the claim, how many, what a side's key begins with.
-- Gives the time, the sequence, the next deadline ('' is none), and the names.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local deadlines, index, sequence = KEYS[1], KEYS[2], KEYS[3]

local place = tonumber(redis.call('GET', sequence) or '0')
if place == 0 then
  -- Who follows the shard from here on must see that nothing is missing before the first commit. It begins as in a
  -- commit.
  place = now - 10000
  redis.call('SET', sequence, string.format('%.0f', place), 'PX', 604800000)
elseif redis.call('PTTL', sequence) < 3600000 then
  redis.call('PEXPIRE', sequence, 604800000)
end
local answer = {now, place, ''}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  if redis.call('EXISTS', ARGV[4] .. name) == 1 then
    redis.call('ZADD', deadlines, ARGV[2], name)
    answer[#answer + 1] = name
  else
    redis.call('ZREM', deadlines, name)
    redis.call('ZREM', index, name)
  end
end
local first = redis.call('ZRANGE', deadlines, 0, 0, 'WITHSCORES')
answer[3] = first[2] or ''
return answer
