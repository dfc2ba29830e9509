-- Renews a node's lease, and settles which groups are its own.
-- KEYS: nodes (by the end of their leases), groups (whose each is), turns (the last of each node), began, credentials (by
-- the end of their time), version (of the credentials). ARGV: the node, its turn, the lease, what it gives back, what it
-- holds for certain (both '0' or '1' for each group), the version that it knows.
-- Gives the time and 'late'; or 'done', how many nodes there are, how many groups this one may have, those that it has,
-- the version, and where it is another one, each credential and its end.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ms = math.floor(now / 1000)
local nodes, groups, turns, began = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local me, turn, lease, back, held = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local count = #held

for _, gone in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', ms)) do
  redis.call('ZREM', nodes, gone)
  redis.call('HDEL', turns, gone)
end
-- What was on its way for long must not undo what came after it.
if turn <= tonumber(redis.call('HGET', turns, me) or '0') then return {now, 'late'} end
redis.call('HSET', turns, me, turn)
-- The part of a millisecond that was cut off belongs to the lease.
redis.call('ZADD', nodes, ms + 1 + lease, me)

-- Whoever held something before the server lost all may hold it still: until that is over, each keeps what it has, and
-- nothing is taken.
local start = tonumber(redis.call('GET', began) or ms)
local is_settled = ms > start + lease
redis.call('SET', began, string.format('%.0f', start))

local names = redis.call('ZRANGE', nodes, 0, -1)
table.sort(names)
local alive, share = {}, math.floor(count / #names)
for place, name in ipairs(names) do
  alive[name] = true
  if name == me and place <= count % #names then share = share + 1 end
end

local holders, fields = {}, redis.call('HGETALL', groups)
for at = 1, #fields, 2 do holders[fields[at]] = fields[at + 1] end
local own, owned, free = {}, 0, {}
for group = 1, count do
  local field = tostring(group - 1)
  local holder = holders[field]
  own[group] = '0'
  if string.sub(back, group, group) == '1' then
    if holder == me then redis.call('HDEL', groups, field) end
  elseif holder == me or not (is_settled or holder) and string.sub(held, group, group) == '1' then
    redis.call('HSET', groups, field, me)
    own[group] = '1'
    owned = owned + 1
  elseif not alive[holder or ''] then
    free[#free + 1] = group
  end
end
for _, group in ipairs(free) do
  if not is_settled or owned >= share then break end
  redis.call('HSET', groups, tostring(group - 1), me)
  own[group] = '1'
  owned = owned + 1
end
for key = 1, 4 do redis.call('PEXPIRE', KEYS[key], 60000) end

local credentials, version = KEYS[5], redis.call('GET', KEYS[6]) or '0'
if redis.call('ZREMRANGEBYSCORE', credentials, '-inf', ms) > 0 then
  version = string.format('%.0f', now)
  redis.call('SET', KEYS[6], version, 'PX', 604800000)
end
local answer = {now, 'done', #names, share, table.concat(own), version}
if version ~= ARGV[6] then
  for _, part in ipairs(redis.call('ZRANGE', credentials, 0, -1, 'WITHSCORES')) do answer[#answer + 1] = part end
end
return answer
