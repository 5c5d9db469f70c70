-- The functions that must be written in Lua, because Lua calls back through them: when a script is ended, no step of them may
-- be lost.
-- The arguments are Lua's own functions and Rust's. The chunk returns the functions that scripts see instead.
local select = select
local pcall, xpcall, resume, create, plainly, textually, rethrow, seen, absent, modern = ...

-- Handles the result of a protected call. `catch` returns what a script may see of an error, or ends the script for good.
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
        -- In this case the servers' own pcall miscounts its arguments.
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

  -- A comparison whose calls count as instructions, even if `f` is a C function.
  counted = function(f)
    return function(a, b)
      return f(a, b)
    end
  end,
}
