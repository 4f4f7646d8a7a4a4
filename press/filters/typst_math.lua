-- LaTeX math to Typst math: pandoc's conversion with its wrong or dated pieces put right for the book's dialect.

local module = {}
local options = pandoc.WriterOptions({ wrap_text = "none" })
local known = {}

-- Pairs of \left … \right that pandoc does not stretch: written with delimiters that are free, and put back after
local PAIRS = {
  ["\\|\\|"] = { "\\llbracket ", "\\right", "\\rrbracket " },
  [".|"] = { "\\ulcorner ", "\\text{⏐}\\right", "\\urcorner " },
  ["\\{."] = { "\\ulcorner \\text{⎨}", "\\right", "\\urcorner " },
}
local PUT_BACK = {
  { "⟦", "lr(‖" }, { "⟧", "‖)" }, { "⌜", "lr(" }, { "⌝", ")" }, { '"⏐"', "|" }, { '"⎨"', "\\{" },
}
local SAME = { ["\\Vert"] = "\\|", ["\\lVert"] = "\\|", ["\\rVert"] = "\\|", ["\\vert"] = "|", ["\\lvert"] = "|",
  ["\\rvert"] = "|", ["\\lbrace"] = "\\{" }

-- Names of symbols that Typst has changed since
local SYMBOLS = {
  ["sect"] = "inter", ["sect.big"] = "inter.big", ["times.circle"] = "times.o", ["dot.circle"] = "dot.o",
  ["tack.r.double"] = "tack.r.r", ["lt.tri"] = "lt.closed", ["gt.tri"] = "gt.closed", ["arrow.l.r.double"] = "arrow.l.r.double.long",
}
local LIMITS = { ["arg max"] = true, ["arg min"] = true, ["argmax"] = true, ["argmin"] = true, ["ess sup"] = true, ["ess inf"] = true }

local function tokens(tex)
  local out, position = {}, 1
  while position <= #tex do
    local token = tex:match("^\\%a+", position) or tex:match("^\\.", position) or tex:match("^[^\\]", position) or "\\"
    out[#out + 1] = token
    position = position + #token
  end
  return out
end

-- The LaTeX that pandoc is given
local function prepared(tex)
  tex = tex:gsub("\\substack%s*(%b{})", function(group)
    return "{\\begin{matrix}" .. group:sub(2, -2) .. "\\end{matrix}}"
  end)
  tex = tex:gsub("(%d){,}(%d)", "%1\\text{,}%2")
  local list, open, position = tokens(tex), {}, 1
  while position <= #list do
    local token = list[position]
    if token == "\\left" or token == "\\right" or token == "\\middle" then
      local at = position + 1
      while list[at] and list[at]:match("^%s$") do at = at + 1 end
      if token == "\\left" then
        open[#open + 1] = at
      elseif token == "\\right" and #open > 0 and list[at] then
        local start = table.remove(open)
        local pair = PAIRS[(SAME[list[start]] or list[start]) .. (SAME[list[at]] or list[at])]
        if pair then list[start], list[position], list[at] = pair[1], pair[2], pair[3] end
      elseif token == "\\middle" and SAME[list[at]] then
        list[at] = SAME[list[at]]
      end
      position = at
    elseif SAME[token] == "\\|" or token == "\\|" then
      list[position] = "\\Vert "
    end
    position = position + 1
  end
  return table.concat(list)
end

-- Adjacent single letters in an upright, sans … face are one word
local function word(face, letters)
  local text = letters:gsub(" ", "")
  if face == "upright" then return '"' .. text .. '"' end
  return face .. '("' .. text .. '")'
end

local function outside(text)
  text = text:gsub("\\\\", "without")
  for _, face in ipairs({ "upright", "sans", "mono", "italic", "bold" }) do
    text = text:gsub("%f[%w]" .. face .. "%((%w %w[%w ]*)%)", function(letters)
      if (face == "bold" or face == "italic") and #letters < 5 then return nil end
      return word(face, letters)
    end)
  end
  text = text:gsub("%f[%w.]%a[%a.]*%a%f[^%w.]", SYMBOLS)
  text = text:gsub("#h%(0em%)", "thick"):gsub("#h%(%-1em%)", "#h(-0.167em)")
  text = text:gsub("%f[%w]mid%(parallel%)", "mid(‖)"):gsub("bar%.v%.double", 'class("normal", ‖)')
  text = text:gsub("\\|", 'class("normal", \\|)')
  return text
end

-- What pandoc wrote, put right. Text in quotation marks is left as it is; a bare one is the name of an operator.
local function mended(text)
  local out, position = {}, 1
  while true do
    local start = text:find('"', position, true)
    if not start then break end
    local stop = start + 1
    while text:sub(stop, stop) ~= '"' do stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1) end
    local before, body = text:sub(position, start - 1), text:sub(start + 1, stop - 1)
    position = stop + 1
    if before:match("upright%($") and text:sub(position, position) == ")" then
      before, position = before:gsub("upright%($", ""), position + 1
      out[#out + 1], out[#out + 2] = outside(before), '"' .. body .. '"'
    elseif before:match("%a%($") or before:match("delim: $") then
      out[#out + 1], out[#out + 2] = outside(before), '"' .. body .. '"'
    else
      local limits = LIMITS[body:gsub("\u{2006}", " ")] and ", limits: #true" or ""
      out[#out + 1], out[#out + 2] = outside(before), 'op("' .. body .. '"' .. limits .. ")"
    end
  end
  out[#out + 1] = outside(text:sub(position))
  return table.concat(out)
end

-- Take out the spaces beside words, which Typst would show and LaTeX does not; `\ ` is a line break and stays
local function tight(text)
  if not text:find('"', 1, true) then return text end
  local out, position, inside = {}, 1, false
  while position <= #text do
    local character = text:sub(position, position)
    if inside and character == "\\" then
      out[#out + 1] = text:sub(position, position + 1)
      position = position + 2
    else
      if character == '"' then
        if not inside then
          local last = #out
          while last > 0 and out[last] == " " and out[last - 1] ~= "\\" and out[last - 1] ~= "$" do
            out[last] = nil
            last = last - 1
          end
        end
        inside = not inside
        out[#out + 1] = character
        position = position + 1
        if not inside and text:match("^ +[^$]", position) then position = text:find("[^ ]", position) end
      else
        out[#out + 1] = character
        position = position + 1
      end
    end
  end
  return table.concat(out)
end

local function key_of(element) return element.mathtype .. element.text end

local function written(elements)
  local blocks = pandoc.Blocks({})
  for _, element in ipairs(elements) do
    blocks:insert(pandoc.Para({ pandoc.Math(element.mathtype, prepared(element.text)) }))
  end
  return pandoc.write(pandoc.Pandoc(blocks), "typst", options)
end

local function accept(element, text)
  local good = text:sub(1, 1) == "$"
  if good then
    text = tight(mended(text))
    for _, pair in ipairs(PUT_BACK) do text = text:gsub(pair[1], function() return pair[2] end) end
  end
  known[key_of(element)] = good and text
end

-- Convert all math of a document in one go, which is several times faster than one by one.
function module.learn(elements)
  local fresh, seen = {}, {}
  for _, element in ipairs(elements) do
    local key = key_of(element)
    if not seen[key] then fresh[#fresh + 1], seen[key] = element, true end
  end
  local texts = {}
  for text in (written(fresh):gsub("%s+$", "") .. "\n\n"):gmatch("(.-)\n\n+") do texts[#texts + 1] = text end
  if #texts ~= #fresh then return end
  for position, element in ipairs(fresh) do accept(element, texts[position]) end
end

-- Convert an element Math; nil if pandoc cannot.
function module.convert(element)
  if known[key_of(element)] == nil then accept(element, (written({ element }):gsub("%s+$", ""))) end
  return known[key_of(element)] or nil
end

return module
