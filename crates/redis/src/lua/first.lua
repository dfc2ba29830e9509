-- Lets one node be the one that tries something, for a while.
-- KEYS: who tries it. ARGV: the node, for how long. Gives the time, and 1 for the node that may.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return {now, 1} end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {now, 0} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {now, 1}
