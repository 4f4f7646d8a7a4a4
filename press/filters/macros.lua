-- Expand the book's TeX macros (metadata `macros`) inside all math, so that every output sees plain LaTeX.
-- Shared by the press and by Quarto.

local macros = {}

-- Read `\name` at `position`; return the name and the position after it.
local function control_word(tex, position)
  local name = tex:match("^\\(%a+)", position)
  return name, name and position + 1 + #name
end

-- Read one argument (a braced group or a single token) from `position`; return it without its braces and the end.
local function argument(tex, position)
  position = tex:find("%S", position) or position
  local first = tex:sub(position, position)
  if first == "{" then
    local group = tex:match("^%b{}", position)
    if not group then error("macro argument is not closed in math: " .. tex) end
    return group:sub(2, -2), position + #group
  elseif first == "\\" then
    local word = tex:match("^\\%a+", position) or tex:sub(position, position + 1)
    return word, position + #word
  elseif first == "" then
    error("macro without its argument in math: " .. tex)
  end
  return first, position + 1
end

local function expand(tex, depth)
  if depth > 20 then error("macros that expand to themselves in math: " .. tex) end
  local out, position, changed = {}, 1, false
  while true do
    local slash = tex:find("\\", position, true)
    if not slash then break end
    out[#out + 1] = tex:sub(position, slash - 1)
    local name, after = control_word(tex, slash)
    local body = name and macros[name]
    if body then
      local arguments, count = {}, 0
      for digit in body:gmatch("#(%d)") do count = math.max(count, tonumber(digit)) end
      for number = 1, count do arguments[number], after = argument(tex, after) end
      local text = body:gsub("#(%d)", function(digit) return arguments[tonumber(digit)] end)
      -- keep `\E x` from becoming `\mathbb{E}x` when the body ends in a control word
      if text:match("\\%a+$") and tex:match("^%a", after) then text = text .. " " end
      out[#out + 1], position, changed = text, after, true
    else
      local stop = after or slash + 2
      out[#out + 1], position = tex:sub(slash, stop - 1), stop
    end
  end
  if not changed then return tex end
  out[#out + 1] = tex:sub(position)
  return expand(table.concat(out), depth + 1)
end

-- Each body is written as math, `$…$`, since metadata is Markdown, which would take the backslashes out of plain text.
local function read_macros(meta)
  for name, body in pairs(meta.macros or {}) do
    local math = pandoc.utils.type(body) == "Inlines" and #body == 1 and body[1].t == "Math" and body[1]
    if not math then error("macro " .. name .. " in _quarto.yml: write its body as '$…$'") end
    macros[name] = math.text
  end
  meta.macros = nil -- or writers would try to convert the bodies
  return meta
end

-- Titles and captions given as attributes are Markdown that later filters read.
local function expand_attributes(element)
  for _, key in ipairs({ "title", "tbl-cap", "lst-cap" }) do
    local text = element.attributes[key]
    if text then element.attributes[key] = expand(text, 0) end
  end
  return element
end

return {
  { Meta = read_macros },
  {
    Math = function(math) math.text = expand(math.text, 0); return math end,
    Div = expand_attributes,
    CodeBlock = expand_attributes,
  },
}
