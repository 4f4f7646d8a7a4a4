-- From the normal form of book.lua to plain Markdown cells: no divs, no attributes, nothing that only Quarto knows.
-- Marks for press/notebook.py, each a block of its own: `<!--press:section:ID-->` before a heading and
-- `<!--press:cell:N-->` where cell N stands. PRESS_CONTEXT holds `folder`, the way from the notebook to the chapter's
-- folder, and `root`, the way to the root of the book.

local stream = assert(io.open(assert(os.getenv("PRESS_CONTEXT")), "r"))
local context = pandoc.json.decode(stream:read("a"), false)
stream:close()

local notes = pandoc.List({})
local flatten

local function html(text) return pandoc.RawBlock("html", text) end
local function anchor(identifier) return pandoc.RawInline("html", '<a id="' .. identifier .. '"></a>') end
local function has(div, class) return div.classes:includes(class) end
local function is_mark(block) return block.t == "RawBlock" and block.text:match("^<!%-%-press:") ~= nil end

-- "**Figure 2.1:** caption", with its anchor
local function caption_line(identifier, label, inlines)
  local line = pandoc.Inlines({ anchor(identifier), pandoc.Strong({ pandoc.Str(label .. ":") }), pandoc.Space() })
  line:extend(inlines)
  return pandoc.Para(line)
end

-- The caption that book.lua made: Span .caption-label, ":", Space, text
local function book_caption(identifier, inlines)
  local rest = pandoc.Inlines({})
  for position = 4, #inlines do rest:insert(inlines[position]) end
  return caption_line(identifier, pandoc.utils.stringify(inlines[1]), rest)
end

-- In quotations Jupyter takes the `>` of continued lines for part of the math
local function one_line(blocks)
  return pandoc.Blocks(blocks):walk({
    Math = function(math) math.text = math.text:gsub("%s*\n%s*", " "); return math end,
    SoftBreak = function() return pandoc.Space() end,
  })
end

-- Quote the blocks, but leave cells outside
local function quoted(blocks)
  local out, run = pandoc.Blocks({}), pandoc.Blocks({})
  local function close()
    if #run > 0 then out:insert(pandoc.BlockQuote(one_line(run))) end
    run = pandoc.Blocks({})
  end
  for _, block in ipairs(blocks) do
    if is_mark(block) then
      close()
      out:insert(block)
    else
      run:insert(block)
    end
  end
  close()
  return out
end

local function theorem(div)
  local label, name
  local title = div.content:remove(1)
  title:walk({ Span = function(span)
    if span.classes:includes("theorem-label") then label = span.content end
    if span.classes:includes("theorem-name") then name = span.content end
  end })
  local line = pandoc.Inlines({ anchor(div.identifier) })
  local bold = pandoc.Inlines(label)
  if name then
    bold:extend({ pandoc.Space(), pandoc.Str("(") })
    bold:extend(name)
    bold:insert(pandoc.Str(")"))
  end
  line:insert(pandoc.Strong(bold))
  local out = pandoc.Blocks({ pandoc.Para(line) })
  out:extend(flatten(div.content))
  return quoted(out)
end

local function callout(div)
  local out = pandoc.Blocks({ pandoc.Para({ pandoc.Strong(div.content[1].content[1].content) }) })
  out:extend(flatten(div.content[2].content))
  return quoted(out)
end

local function proof(div)
  local out = flatten(div.content)
  local lead = pandoc.Inlines({ pandoc.Emph({ pandoc.Str("Proof.") }), pandoc.Space() })
  if out[1] and out[1].t == "Para" then
    lead:extend(out[1].content)
    out[1] = pandoc.Para(lead)
  else
    out:insert(1, pandoc.Para(lead))
  end
  local last, square = out[#out], pandoc.Str("∎")
  local inline = last.t == "Para" and last.content[#last.content]
  if inline and not (inline.t == "Math" and inline.mathtype == "DisplayMath") and inline.t ~= "Span" then
    last.content:extend({ pandoc.Space(), square })
    out[#out] = last
  else
    out:insert(pandoc.Para({ square }))
  end
  return out
end

local function references(div)
  local heading = pandoc.Header(2, { pandoc.Str("References") })
  local out = pandoc.Blocks({ html("<!--press:section:references-->"), heading })
  for _, item in ipairs(div.content) do out:extend(flatten(item.content)) end
  return #div.content > 0 and out or {}
end

local function plain_div(div)
  if has(div, "press-cell") then return { html("<!--press:cell:" .. div.attributes.number .. "-->") } end
  if has(div, "press-caption") then
    local first = div.content[1]
    return { caption_line(div.attributes.label, div.attributes.text, first and first.content or {}) }
  end
  if has(div, "theorem") then return theorem(div) end
  if has(div, "callout") then return callout(div) end
  if has(div, "proof") then return proof(div) end
  if div.identifier == "refs" then return references(div) end
  if has(div, "table-float") or has(div, "listing") then
    local caption = div.content:remove(1)
    local out = pandoc.Blocks({ book_caption(div.identifier, caption.content[1].content) })
    out:extend(flatten(div.content))
    return out
  end
  return flatten(div.content)
end

local function figure(element)
  local out = flatten(element.content)
  local long = element.caption.long
  if element.identifier:match("^fig%-") and long[1] then
    out:insert(book_caption(element.identifier, long[1].content))
  elseif long[1] then
    out:extend(long)
  end
  return out
end

local function header(element)
  local identifier = element.identifier
  local out = pandoc.Blocks({ html("<!--press:section:" .. identifier .. "-->") })
  if identifier:match("^sec%-") then out:insert(pandoc.Plain({ anchor(identifier) })) end
  local text = element.content
  if element.attributes.number then
    text:insert(1, pandoc.Space())
    text:insert(1, pandoc.Str(element.attributes.number))
  end
  out:insert(pandoc.Header(element.level, text))
  return out
end

flatten = function(blocks)
  local out = pandoc.Blocks({})
  for _, block in ipairs(blocks) do
    if block.t == "Div" then
      out:extend(plain_div(block))
    elseif block.t == "Figure" then
      out:extend(figure(block))
    elseif block.t == "Header" then
      out:extend(header(block))
    elseif block.t == "CodeBlock" then
      out:insert(pandoc.CodeBlock(block.text, pandoc.Attr("", { block.classes[1] })))
    elseif block.t == "Plain" and #out > 0 then
      out:insert(pandoc.Para(block.content))
    elseif not (block.t == "RawBlock" and block.format ~= "html") then
      out:insert(block)
    end
  end
  return out
end

local function relative(url)
  if url:match("^%a[%w+.-]*:") or url:match("^#") then return url end
  if url:match("^/") then return context.root .. url:sub(2) end
  return context.folder .. url
end

local inside = {
  Span = function(span)
    for _, class in ipairs({ "caption-label", "theorem-label", "theorem-name" }) do
      if span.classes:includes(class) then return nil end
    end
    local math = span.classes:includes("equation") and span.content[1]
    if not math then return span.content end
    math.text = math.text:gsub("%s*$", "") .. " \\tag{" .. span.attributes.number .. "}"
    if math.text:match("\n") then math.text = math.text .. "\n" end
    return { anchor(span.identifier), pandoc.SoftBreak(), math }
  end,
  Cite = function(cite) return cite.content end,
  SmallCaps = function(element) return element.content end,
  Note = function(note)
    notes:insert(note.content)
    return pandoc.RawInline("html", "<sup>" .. #notes .. "</sup>")
  end,
  Link = function(link)
    if link.classes:includes("xref") then return pandoc.Link(link.content, link.target) end
    local target = relative(link.target)
    if target ~= link.target then target = target:gsub("%.qmd", ".ipynb") end
    return pandoc.Link(link.content, target, link.title)
  end,
  Image = function(image)
    local alt = image.attributes["fig-alt"]
    return pandoc.Image(alt and { pandoc.Str(alt) } or image.caption, relative(image.src))
  end,
  Code = function(code) return pandoc.Code(code.text) end,
}

return {
  inside,
  { Pandoc = function(document)
    local blocks = flatten(document.blocks)
    if #notes > 0 then
      local items = pandoc.List({})
      for _, note in ipairs(notes) do items:insert(note) end
      blocks:insert(html("<!--press:section:notes-->"))
      blocks:insert(pandoc.Header(2, { pandoc.Str("Notes") }))
      blocks:insert(pandoc.OrderedList(items))
    end
    -- inside lists and quotations there may still be divs
    blocks = blocks:walk({ Div = function(div) return flatten({ div }) end })
    return pandoc.Pandoc(blocks, {})
  end },
}
