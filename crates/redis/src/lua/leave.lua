-- Takes a node out of the fleet, and gives back all that is its own.
-- KEYS: nodes, groups, turns. ARGV: the node. Gives the time.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
local fields = redis.call('HGETALL', KEYS[2])
for at = 1, #fields, 2 do
  if fields[at + 1] == ARGV[1] then redis.call('HDEL', KEYS[2], fields[at]) end
end
return {now}
