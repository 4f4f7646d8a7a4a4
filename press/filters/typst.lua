-- The press's normal form (see book.lua) to calls of the functions of press/assets/book.typ. It runs last and expects
-- in PRESS_CONTEXT, beside what book.lua reads: "stem" and "folder" of the chapter, "depth" (level of its title among
-- the PDF's bookmarks) and "names" {tangled file: [public names]}.
-- An equation that cannot be converted is reported on standard error as a line `PRESS-MATH <latex>`.

package.path = (PANDOC_SCRIPT_FILE:match("^(.*)/") or ".") .. "/?.lua;" .. package.path
local mathematics = require("typst_math")

local stream = assert(io.open(assert(os.getenv("PRESS_CONTEXT"), "PRESS_CONTEXT is not set"), "r"))
local context = pandoc.json.decode(stream:read("a"), false)
stream:close()

local COLUMNS = 110 -- as in style.typ
local CONTINUED = "\u{e000}"
local options = pandoc.WriterOptions({ wrap_text = "none" })

local function raw(text) return pandoc.RawBlock("typst", text) end
local function inline(text) return pandoc.RawInline("typst", text) end
local function quoted(text) return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"') .. '"' end
local function markup(inlines)
  if #inlines == 0 then return "[]" end
  local text = pandoc.write(pandoc.Pandoc({ pandoc.Plain(inlines) }), "typst", options):gsub("%s+$", "")
  return "[" .. text .. "]"
end

-- The name of a place in the whole book: labels of the index as they are, anything else with its chapter in front
local function place(identifier)
  return context.labels[identifier] and identifier or context.stem .. "#" .. identifier
end
local function named(identifier)
  return "name: " .. (identifier ~= "" and quoted(place(identifier)) or "none")
end
local function anchor(identifier)
  return identifier ~= "" and "#anchor(" .. named(identifier) .. ");" or ""
end

local function wrapped(opening, blocks)
  local out = pandoc.Blocks({ raw(opening) })
  out:extend(blocks)
  out:insert(raw("];"))
  return out
end

---------------------------------------------------------------------------------------------------- inlines

local failures = 0
local function converted(element)
  local text = mathematics.convert(element)
  if text then return text end
  failures = failures + 1
  io.stderr:write("PRESS-MATH ", (element.text:gsub("%s+", " ")), "\n")
  return "$ $"
end

local function formula(element)
  local text = converted(element)
  return inline(element.mathtype == "DisplayMath" and "#equation(none)[" .. text .. "];" or text)
end

local function span(element)
  if element.classes:includes("equation") then
    local mark = element.attributes.mark
    if mark then mark = ", mark: [#jump(" .. quoted("ledger-" .. element.identifier) .. ")[" .. mark .. "]]" end
    local arguments = quoted(element.attributes.number) .. ", name: " .. quoted(element.identifier) .. (mark or "")
    return inline("#equation(" .. arguments .. ")[" .. converted(element.content[1]) .. "];"), false
  elseif element.classes:includes("caption-label") then
    return pandoc.Strong(element.content)
  elseif element.identifier ~= "" then
    element.content:insert(1, inline(anchor(element.identifier)))
    return element.content
  end
end

-- Long names may break after a dot, an underscore, a slash, a comma or an opening parenthesis
local function code(element)
  local text = element.text
  if #text > 12 then text = text:gsub("([%._/,%(=])(%w)", "%1\u{200b}%2") end
  return inline("#raw(" .. quoted(text) .. ");")
end

-- Typst's citations have no prefix: where there is one, the parenthesis is put together here
local function cite(element)
  local out, prefixed = pandoc.Inlines({}), false
  for _, citation in ipairs(element.citations) do prefixed = prefixed or #citation.prefix > 0 end
  for position, citation in ipairs(element.citations) do
    local suffix = citation.suffix
    while #suffix > 0 and (suffix[1].t == "Space" or suffix[1].text == ",") do suffix:remove(1) end
    local function call(form, with)
      local more = (form and ', form: "' .. form .. '"' or "") .. (#with > 0 and ", supplement: " .. markup(with) or "")
      return inline("#cite(label(" .. quoted(citation.id) .. ")" .. more .. ");")
    end
    if citation.mode == "AuthorInText" then
      out:insert(call("prose", suffix))
    elseif citation.mode == "SuppressAuthor" then
      local function beside(neighbour) return neighbour and neighbour.mode == "SuppressAuthor" end
      out:extend(beside(element.citations[position - 1]) and { pandoc.Str(","), pandoc.Space() } or { pandoc.Str("(") })
      out:insert(call("year", suffix))
      if not beside(element.citations[position + 1]) then out:insert(pandoc.Str(")")) end
    elseif prefixed then
      out:extend({ pandoc.Str(position == 1 and "(" or ";"), position > 1 and pandoc.Space() or pandoc.Str("") })
      out:extend(citation.prefix)
      out:extend({ #citation.prefix > 0 and pandoc.Space() or pandoc.Str(""), call("author", {}), pandoc.Str("\u{a0}"), call("year", {}) })
      if #suffix > 0 then out:extend({ pandoc.Str(","), pandoc.Space() }) end
      out:extend(suffix)
      if position == #element.citations then out:insert(pandoc.Str(")")) end
    else
      out:insert(call(nil, suffix))
    end
  end
  return out
end

local function resolved(path)
  if path:sub(1, 1) == "/" then return path:sub(2) end
  local parts = {}
  for part in (context.folder .. "/" .. path):gmatch("[^/]+") do
    if part == ".." then table.remove(parts) elseif part ~= "." then parts[#parts + 1] = part end
  end
  return table.concat(parts, "/")
end

local function link(element)
  local target = element.target
  local file, identifier = target:match("^([^#:]*%.qmd)#?(.*)$")
  if file then
    local stem = resolved(file):gsub("%.qmd$", "")
    target = identifier == "" and stem or (context.labels[identifier] and identifier or stem .. "#" .. identifier)
  elseif target:sub(1, 1) == "#" then
    target = place(target:sub(2))
  elseif target:match("^%a[%w+.-]*:") then
    return nil
  else
    return element.content
  end
  return inline("#jump(" .. quoted(target) .. ")" .. markup(element.content) .. ";")
end

local function length(text)
  local number, unit = (text or ""):match("^([%d.]+)(.*)$")
  if not number then return "auto" end
  if unit == "" or unit == "px" then return tonumber(number) * 0.75 .. "pt" end
  return number .. unit
end

local function image(element)
  if element.src:match("^%a+://") then return inline("#pointer(" .. quoted(element.src) .. ");") end
  local alt = element.attributes["fig-alt"] or element.attributes.alt or pandoc.utils.stringify(element.caption)
  local path = quoted("/" .. resolved(element.src))
  return inline("#picture(" .. path .. ", width: " .. length(element.attributes.width) .. ", alt: " .. quoted(alt) .. ");")
end

---------------------------------------------------------------------------------------------------- blocks

-- Break lines longer than the page is wide, after a space, comma or opening bracket where there is one
local function broken(text)
  local out = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    local indent = #line:match("^ *")
    local hang = indent < 40 and indent + 4 or 4
    local room, pieces = COLUMNS, {}
    while utf8.len(line) and utf8.len(line) > room do
      local stop = utf8.offset(line, room + 1) - 1
      local head = line:sub(1, stop)
      local cut = head:match("^.*[ ,%(%[]()") or 0
      if cut <= math.max(indent + 1, stop // 2) then cut = stop + 1 end
      pieces[#pieces + 1] = line:sub(1, cut - 1)
      line = line:sub(cut)
      room = COLUMNS - hang
    end
    pieces[#pieces + 1] = line
    out[#out + 1] = table.concat(pieces, CONTINUED .. string.rep("\u{a0}", hang - 2))
  end
  return table.concat(out, "\n")
end

-- Anchors for the index of identifiers: the public names that this block defines
local function identifiers(element)
  local out, wanted = {}, {}
  for _, name in ipairs((context.names or {})[element.attributes.file or ""] or {}) do wanted[name] = true end
  local source = "\n" .. element.text
  for _, pattern in ipairs({ "\ndef ([%a_][%w_]*)", "\nasync def ([%a_][%w_]*)", "\nclass ([%a_][%w_]*)", "\n([%a_][%w_]*)%s*[:=]" }) do
    for name in source:gmatch(pattern) do
      if wanted[name] then
        local module = element.attributes.file:gsub("^tangled/", ""):gsub("%.py$", ""):gsub("/__init__$", ""):gsub("/", ".")
        out[#out + 1] = "#identifier(" .. quoted(name) .. ", " .. quoted(module) .. ");"
        wanted[name] = nil
      end
    end
  end
  return table.concat(out)
end

-- A reader of paper cannot search for a label: give the number beside it
local function with_numbers(text)
  return (text:gsub("@(%l+%-[%w_-]*%w)", function(label)
    local target = context.labels[label]
    return target and "@" .. label .. " (" .. target.number .. ")" or nil
  end))
end

-- What a page of the site folds away, a page of paper counts: figure code and tests are read where they can be run
local function folded(element, file)
  local _, breaks = element.text:gsub("%s+$", ""):gsub("\n", "")
  local arguments = string.format("%d", breaks + 1) .. (file and ", file: " .. quoted(file) or "")
  if element.attributes.draws then arguments = arguments .. ", draws: " .. quoted(element.attributes.draws) end
  return raw(anchor(element.identifier) .. identifiers(element) .. "#folded(" .. arguments .. ")")
end

local function code_block(element)
  if not element.attributes.output then element.text = with_numbers(element.text) end
  local text = quoted(broken((element.text:gsub("\t", "    "):gsub("%s+$", ""):gsub("^\n+", ""))))
  if element.attributes.output then
    return raw("#output(" .. text .. ", kind: " .. quoted(element.attributes.output) .. ")")
  end
  local language = element.classes:find_if(function(class) return class ~= "cell-code" and class ~= "numberLines" end)
  local file = element.attributes.file or element.attributes.filename
  if element.attributes["code-fold"] == "true" then return folded(element, file) end
  local arguments = { text, "lang: " .. (language and quoted(language) or "none") }
  if file then arguments[#arguments + 1] = "file: " .. quoted(file) end
  return raw(anchor(element.identifier) .. identifiers(element) .. "#listing(" .. table.concat(arguments, ", ") .. ")")
end

local function header(element)
  local arguments = table.concat({
    string.format("%d", context.depth + element.level - 1), element.attributes.number and quoted(element.attributes.number) or "none",
    named(element.identifier),
  }, ", ")
  local name = element.level == 1 and "#chapter(" or "#section("
  local notes = element.content:walk({ Note = function() return {} end })
  return raw(name .. arguments .. ")" .. markup(notes))
end

local function figure(element)
  local long = element.caption.long
  local caption = long[1] and markup(long[1].content) or "none"
  local float = element.attributes.float or "none"
  return wrapped("#picture-float(" .. caption .. ", " .. named(element.identifier) .. ", float: " .. float .. ")[", element.content)
end

-- Take the caption that book.lua put first
local function caption_of(div)
  local first = div.content[1]
  if first and first.t == "Div" and first.classes:includes("caption") then
    div.content:remove(1)
    return markup(first.content[1].content)
  end
  return "none"
end

local function theorem(div)
  local kind, title = div.classes[2], div.content:remove(1)
  local label, name = pandoc.Inlines({}), pandoc.Inlines({})
  title:walk({ Span = function(part)
    if part.classes:includes("theorem-label") then label = part.content end
    if part.classes:includes("theorem-name") then name = part.content end
  end })
  local arguments = { quoted(kind), markup(label), markup(name), named(div.identifier) }
  return wrapped("#theorem(" .. table.concat(arguments, ", ") .. ")[", div.content)
end

-- The end mark goes to the end of the last paragraph, or below whatever else ends the proof
local function proof(div)
  local last = div.content[#div.content]
  local final = last and (last.t == "Para" or last.t == "Plain") and last.content[#last.content]
  if final and final.t == "RawInline" and final.text:match("^#equation%(") then
    final.text = final.text:gsub("^#equation%(", "#equation(qed: true, ")
  elseif final then
    last.content:insert(inline("#qed;"))
  else
    div.content:insert(raw("#qed-below;"))
  end
  return wrapped("#proof(" .. quoted(div.classes[1]) .. ")[" .. anchor(div.identifier), div.content)
end

local function div(element)
  local classes = element.classes
  if classes:includes("theorem") then return theorem(element) end
  if classes:includes("proof") or classes:includes("remark") or classes:includes("solution") then return proof(element) end
  if classes:includes("callout") then
    local kind = "note"
    for _, class in ipairs(classes) do kind = class:match("^callout%-(%a+)$") or kind end
    local title = markup(element.content[1].content[1].content)
    local body = element.content[2].content
    body:insert(1, raw(anchor(element.identifier)))
    return wrapped("#callout(" .. quoted(kind) .. ", " .. title .. ")[", body)
  end
  if classes:includes("table-float") or classes:includes("listing") then
    local name = classes:includes("listing") and "#listing-float(" or "#table-float("
    local caption = caption_of(element)
    local float = element.attributes.float and ", float: " .. element.attributes.float or ""
    return wrapped(name .. caption .. ", " .. named(element.identifier) .. float .. ")[", element.content)
  end
  if classes:includes("theorem-title") or classes:includes("caption") or classes:includes("callout-title")
    or classes:includes("callout-body") then return nil end
  if element.identifier ~= "" then element.content:insert(1, raw(anchor(element.identifier))) end
  return element.content
end

-- Tell folded code what it draws, for the figure may float away from it
local function entitle(cell)
  local name
  local function look(element)
    local label = context.labels[element.identifier]
    if label and not name and label.text:match("^%u") then name = label.text end
  end
  look(cell)
  cell:walk({ Figure = look, Div = look })
  for _, child in ipairs(cell.content) do
    if name and child.t == "CodeBlock" then child.attributes.draws = name end
  end
end

-- A table of one page at most stays whole; "none" keeps it where it stands
local LONG_TABLE = 26
local function floats_as(block, opening)
  local rows = 0
  block:walk({ Table = function(element) for _, body in ipairs(element.bodies) do rows = rows + #body.body end end })
  if rows > LONG_TABLE then return nil end
  return opening and "none" or "auto"
end

-- Names in a table break where names in the text do, and rows with fractions stand apart
local function table_block(element)
  local tall = element.attributes.tall
  element = element:walk({ Str = function(part)
    if #part.text > 12 and part.text:match("%w[%._]%w") then
      part.text = part.text:gsub("([%._])(%w)", "%1\u{200b}%2")
      return part
    end
  end })
  return tall and wrapped("#tall-rows[", { element }) or element
end

-- Before anything else: which figures and tables may float (those in no box), which code blocks are the output of a cell.
-- A figure of the opening floats to the foot of the page, for at its head is the title of the chapter.
local opening = true
local function prepare(blocks)
  for _, block in ipairs(blocks) do
    if block.t == "Header" and block.level > 1 then
      opening = false
    elseif block.t == "Figure" then
      block.attributes.float = opening and "bottom" or "auto"
    elseif block.t == "Div" and block.classes:includes("table-float") then
      block.attributes.float = floats_as(block, opening)
      prepare(block.content)
    elseif block.t == "Div" and (block.classes:includes("cell") or block.classes:includes("cell-output")) then
      local kind
      for _, class in ipairs(block.classes) do kind = class:match("^cell%-output%-(%a+)$") or kind end
      for _, child in ipairs(block.content) do
        if child.t == "CodeBlock" and kind then child.attributes.output = kind end
      end
      if block.classes:includes("cell") then entitle(block) end
      prepare(block.content)
    end
  end
end

return {
  { Pandoc = function(doc)
    prepare(doc.blocks)
    doc = doc:walk({ Table = function(element)
      element:walk({ Math = function(part) if part.text:match("\\[dt]?frac") then element.attributes.tall = "yes" end end })
      return element
    end })
    local found = {}
    doc.blocks:walk({ Math = function(element) found[#found + 1] = element end })
    mathematics.learn(found)
    return pandoc.Pandoc(doc.blocks) -- without the metadata, which holds the macros
  end },
  { traverse = "topdown", Math = formula, Span = span },
  { Code = code, Cite = cite, Image = image },
  { Link = link },
  { CodeBlock = code_block, Header = header, Figure = figure, Table = table_block },
  { Div = div },
  { Pandoc = function() if failures > 0 then error("PRESS-MATH-END") end end },
}
