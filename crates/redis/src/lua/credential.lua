-- Says what is known of a credential, or that nothing is.
-- KEYS: credentials, version. ARGV: its name, what is known ('' is nothing), for how long, how many there may be.
-- Gives the time.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ms = math.floor(now / 1000)
local name, known = ARGV[1], ARGV[2]

local is_news = known == '' or known == 'r' or not redis.call('ZSCORE', KEYS[1], known .. name)
for _, other in ipairs({'p', 'r'}) do
  if other ~= known then redis.call('ZREM', KEYS[1], other .. name) end
end
if known ~= '' then
  redis.call('ZADD', KEYS[1], ms + tonumber(ARGV[3]), known .. name)
  local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[4])
  if over > 0 then redis.call('ZPOPMIN', KEYS[1], over) end
end
redis.call('PEXPIRE', KEYS[1], 604800000)
if is_news then redis.call('SET', KEYS[2], string.format('%.0f', now), 'PX', 604800000) end
return {now}
