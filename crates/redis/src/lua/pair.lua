-- Reads the two sides of a conversation.
-- KEYS: sequence, the agent's side, the user's side.
-- Gives the time, the sequence, and both states ('' is nothing).
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
return {
  now, tonumber(redis.call('GET', KEYS[1]) or '0'),
  redis.call('GET', KEYS[2]) or '', redis.call('GET', KEYS[3]) or '',
}
