-- Notes what a provider is told of a side, or that it is told no more.
-- KEYS: what is told in the shard. ARGV: upstream and side, until when ('' is no more), for how long to keep it.
-- Gives the time.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
  -- What is over goes: looked for now and then, since nobody need say so.
  if redis.call('HLEN', KEYS[1]) % 32 == 0 then
    local fields = redis.call('HGETALL', KEYS[1])
    for at = 1, #fields, 2 do
      if tonumber(fields[at + 1]) * 1000 <= now then redis.call('HDEL', KEYS[1], fields[at]) end
    end
  end
end
return {now}
