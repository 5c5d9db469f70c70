-- What must be Lua itself, for Lua calls back through it: no step of it may be lost when a script is ended.
-- Called with Lua's own functions and with Rust's; gives the functions that scripts see instead.
local select = select
local pcall, xpcall, resume, create, plainly, textually, rethrow, seen, absent, modern = ...

-- Behind a protected call: `catch` gives what a script may see, or ends it for good.
local function settled(catch, ok, ...)
  if ok then
    return ok, ...
  end
  return catch((...))
end

local function unwrapped(ok, ...)
  if ok then
    return ...
  end
  return rethrow((...))
end

return {
  pcall = function(...)
    if select('#', ...) == 0 then
      if modern then
        -- The servers' own pcall counts its arguments wrong then.
        return false, 'attempt to call a boolean value'
      end
      absent(1)
    end
    return settled(textually, pcall(...))
  end,

  xpcall = function(...)
    if select('#', ...) < 2 then
      absent(2)
    end
    local f, handler = ...
    return settled(plainly, xpcall(f, function(error)
      local value, hidden = seen(error)
      if hidden then
        return error
      end
      return handler(value)
    end))
  end,

  resume = function(...)
    return settled(plainly, resume(...))
  end,

  wrap = function(f)
    local thread = create(f)
    return function(...)
      return unwrapped(resume(thread, ...))
    end
  end,

  load = function(loadstring)
    return function(reader, name)
      local pieces = {}
      while true do
        local piece = reader()
        if piece == nil or piece == '' then
          break
        end
        if seen(piece) == nil then
          return nil, 'reader function must return a string'
        end
        pieces[#pieces + 1] = piece
      end
      return loadstring(pieces, name)
    end
  end,

  -- A comparison that counts as instructions, whatever it calls.
  counted = function(f)
    return function(a, b)
      return f(a, b)
    end
  end,
}
