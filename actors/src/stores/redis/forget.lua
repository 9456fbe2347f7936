-- Changes nothing. Setting the expiry again counts as a change of the key, so that Redis invalidates it in every cache.
--
-- KEYS[1]  pc:{user}:sessions (see sessions.lua)
-- returns  nil

set_expiry()
return false
