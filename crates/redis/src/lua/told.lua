-- Reads what the providers were told in a shard, and forgets what is over.
-- KEYS: what is told in the shard. Gives the time, and upstream and side, and until when, in turn.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, fields = {now}, redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
  if tonumber(fields[at + 1]) * 1000 > now then
    answer[#answer + 1] = fields[at]
    answer[#answer + 1] = fields[at + 1]
  else
    redis.call('HDEL', KEYS[1], fields[at])
  end
end
return answer
