-- Bring a chapter into the press's normal form, the same for HTML and Typst. Numbers come from press/index.py through
-- the JSON file named by PRESS_CONTEXT: {"sections": [...], "labels": {label: {text, number, href, kind, title}}}.
--
--   heading            attribute number="2.1"
--   labelled equation  Span #eq-x .equation number="2.1" around the display Math; with a verdict in the ledger also
--                      mark="✓✓" mark-title="proved …" mark-href="…#ledger-eq-x"
--   cross-reference    Link .xref kind="eq", already with its text
--   theorem            Div #thm-x .theorem .thm: Div .theorem-title (Span .theorem-label, Span .theorem-name), body
--   callout            Div .callout .callout-note [collapse]: Div .callout-title, Div .callout-body
--   labelled figure    Figure whose caption starts with Span .caption-label "Figure 2.1"
--   labelled table     Div #tbl-x .table-float: Div .caption (starting with Span .caption-label), the table
--   any table          without widths of its columns, unless the author drew them of different widths
--   labelled listing   Div #lst-x .listing: Div .caption, CodeBlock

local path = os.getenv("PRESS_CONTEXT")
local stream = path and assert(io.open(path, "r"), "cannot open PRESS_CONTEXT")
local context = stream and pandoc.json.decode(stream:read("a"), false) or { sections = {}, labels = {} }
if stream then stream:close() end

local theorems = { thm = true, lem = true, cor = true, prp = true, cnj = true, def = true, exm = true, exr = true }
local function kind_of(label) return label:match("^(%a+)%-") end
local function is_label(label)
  local kind = kind_of(label)
  return kind and (theorems[kind] or kind == "sec" or kind == "eq" or kind == "fig" or kind == "tbl" or kind == "lst")
end

local function entry(label)
  local found = context.labels[label]
  if not found then error("unknown label @" .. label) end
  return found
end

local function label_span(label)
  return pandoc.Span(pandoc.Str(entry(label).text), pandoc.Attr("", { "caption-label" }))
end

-- "**Figure 2.1.** caption": the label, then the caption's inlines
local function captioned(label, inlines)
  local caption = pandoc.Inlines({ label_span(label), pandoc.Str(":"), pandoc.Space() })
  caption:extend(inlines)
  return caption
end

-- `@eq-a`, `[@eq-a; @eq-b]`, and `@thm-a [@author2000]`, which pandoc takes for one citation
local function cite(element)
  if not element.citations:find_if(function(citation) return is_label(citation.id) end) then return nil end
  local out, others = pandoc.Inlines({}), pandoc.List()
  for _, citation in ipairs(element.citations) do
    if is_label(citation.id) then
      if #out > 0 then out:extend({ pandoc.Str(","), pandoc.Space() }) end
      local target = entry(citation.id)
      local text = citation.mode == "SuppressAuthor" and target.number or target.text
      local link = pandoc.Link(pandoc.Str((text:gsub(" ", "\u{a0}"))), target.href)
      -- as a list of pairs, since a table would come out in any order
      link.attr = pandoc.Attr("", { "xref" }, { { "kind", target.kind }, { "label", citation.id } })
      out:insert(link)
      if #citation.suffix > 0 then
        out:extend({ pandoc.Space(), pandoc.Str("[") })
        out:extend(citation.suffix)
        out:insert(pandoc.Str("]"))
      end
    else
      others:insert(citation)
    end
  end
  if #others > 0 then
    local rest = pandoc.Cite(pandoc.Inlines({ pandoc.Str("[@" .. others[1].id .. "]") }), others)
    local first = is_label(element.citations[1].id)
    out:insert(first and #out + 1 or 1, pandoc.Space())
    out:insert(first and #out + 1 or 1, rest)
  end
  return out
end

-- Markdown from an attribute (a title or a caption) as inlines, with its references resolved
local function read_inlines(text)
  local block = pandoc.read(text or "", "markdown").blocks[1]
  return block and block.content:walk({ Cite = cite }) or pandoc.Inlines({})
end

-- `$$ … $$ {#eq-x}`: pandoc leaves the label as text behind the math
local function equations(inlines)
  local out, position, changed = pandoc.Inlines({}), 1, false
  while position <= #inlines do
    local math = inlines[position]
    if math.t == "Math" and math.mathtype == "DisplayMath" then
      local next_one = position + 1
      while inlines[next_one] and (inlines[next_one].t == "Space" or inlines[next_one].t == "SoftBreak") do
        next_one = next_one + 1
      end
      local tail = inlines[next_one]
      local label, rest
      if tail and tail.t == "Str" then label, rest = tail.text:match("^{#(eq%-[%w%-_]+)}(.*)$") end
      if label then
        local target = entry(label)
        local attributes = { number = target.number }
        if target.mark then
          attributes.mark, attributes["mark-title"], attributes["mark-href"] = target.mark, target.mark_title, target.mark_href
        end
        out:insert(pandoc.Span({ math }, pandoc.Attr(label, { "equation" }, attributes)))
        if rest ~= "" then out:insert(pandoc.Str(rest)) end
        position, changed = next_one, true
      else
        out:insert(math)
      end
    else
      out:insert(math)
    end
    position = position + 1
  end
  return changed and out or nil
end

local function first_heading(div)
  local first = div.content[1]
  if first and first.t == "Header" then
    div.content:remove(1)
    return first.content
  end
end

local function theorem(div, kind)
  local title = first_heading(div)
  local line = pandoc.Inlines({ pandoc.Span(pandoc.Str(entry(div.identifier).text), pandoc.Attr("", { "theorem-label" })) })
  if title then
    for position = 2, #title do -- the stars of an exercise stay with its name
      if title[position].t == "Str" and title[position].text:match("^⋆") and title[position - 1].t == "Space" then
        title[position - 1] = pandoc.Str("\u{a0}")
      end
    end
    line:extend({ pandoc.Space(), pandoc.Span(title, pandoc.Attr("", { "theorem-name" })) })
  end
  div.content:insert(1, pandoc.Div({ pandoc.Plain(line) }, pandoc.Attr("", { "theorem-title" })))
  div.classes:insert(1, kind)
  div.classes:insert(1, "theorem")
  return div
end

local function callout(div, class)
  local title = first_heading(div)
  local given = div.attributes.title
  if given then
    title = read_inlines(given)
    div.attributes.title = nil
  end
  title = title or pandoc.Inlines({ pandoc.Str((class:gsub("callout%-", ""):gsub("^%l", string.upper))) })
  div.content = {
    pandoc.Div({ pandoc.Plain(title) }, pandoc.Attr("", { "callout-title" })),
    pandoc.Div(div.content, pandoc.Attr("", { "callout-body" })),
  }
  div.classes:insert(1, "callout")
  return div
end

-- A div or cell that is a labelled table: its caption is the attribute `tbl-cap` or the last paragraph
local function table_float(div)
  local caption = div.attributes["tbl-cap"]
  local inlines
  if caption then
    inlines = read_inlines(caption)
    div.attributes["tbl-cap"] = nil
  else
    local last = div.content[#div.content]
    if last and last.t == "Para" then
      inlines = last.content
      div.content:remove(#div.content)
    else
      inlines = pandoc.Inlines({})
    end
  end
  local plain = pandoc.Plain(captioned(div.identifier, inlines))
  div.content:insert(1, pandoc.Div({ plain }, pandoc.Attr("", { "caption" })))
  div.classes:insert("table-float")
  return div
end

local function visible(div)
  local html = FORMAT:match("html") ~= nil or FORMAT == "gfm" -- notebooks show what HTML shows
  local wanted = div.attributes["when-format"] or div.attributes["unless-format"]
  local holds = (wanted == "html" and html) or ((wanted == "pdf" or wanted == "typst") and not html)
  if div.attributes["unless-format"] then holds = not holds end
  if div.classes:includes("content-hidden") then holds = not holds end
  return holds
end

local function div(element)
  if element.classes:includes("content-visible") or element.classes:includes("content-hidden") then
    return visible(element) and element.content or {}
  end
  local kind = kind_of(element.identifier)
  if theorems[kind] then return theorem(element, kind) end
  if kind == "tbl" then return table_float(element) end
  for _, class in ipairs(element.classes) do
    if class:match("^callout%-") then return callout(element, class) end
  end
end

-- A table whose columns were drawn equally wide says nothing about their widths: each takes what its cells need
local function natural_widths(element)
  local first = element.colspecs[1] and element.colspecs[1][2]
  for _, column in ipairs(element.colspecs) do
    if not first or not column[2] or math.abs(column[2] - first) > 1e-6 then return end
  end
  local columns = {}
  for position, column in ipairs(element.colspecs) do columns[position] = { column[1] } end
  element.colspecs = columns
end

-- `: Caption {#tbl-x}` under a Markdown table
local function markdown_table(element)
  natural_widths(element)
  local caption = element.caption.long
  local last = caption[#caption]
  local inlines = last and last.content or pandoc.Inlines({})
  local label = element.identifier
  if not label:match("^tbl%-") then
    local tail = inlines[#inlines]
    label = tail and tail.t == "Str" and tail.text:match("^{#(tbl%-[%w%-_]+)") or nil
    if not label then return element end
    inlines:remove(#inlines)
  end
  element.attr = pandoc.Attr("", element.classes, element.attributes)
  element.caption = { long = {} }
  local float = pandoc.Div({ element }, pandoc.Attr(label, { "table-float" }))
  local plain = pandoc.Plain(captioned(label, inlines))
  float.content:insert(1, pandoc.Div({ plain }, pandoc.Attr("", { "caption" })))
  return float, false
end

local function figure(element)
  if kind_of(element.identifier) ~= "fig" then return nil end
  local long = element.caption.long
  local inlines = long[1] and long[1].content or pandoc.Inlines({})
  element.caption = { long = { pandoc.Plain(captioned(element.identifier, inlines)) } }
  return element
end

local function listing(code)
  local label = code.identifier:match("^lst%-.+") and code.identifier or code.attributes["lst-label"]
  if not label then return nil end
  local caption = read_inlines(code.attributes["lst-cap"])
  code.attributes["lst-cap"], code.attributes["lst-label"], code.identifier = nil, nil, ""
  local plain = pandoc.Plain(captioned(label, caption))
  return pandoc.Div({ pandoc.Div({ plain }, pandoc.Attr("", { "caption" })), code }, pandoc.Attr(label, { "listing" }))
end

local seen = 0
local function header(element)
  seen = seen + 1
  local number = context.sections[seen]
  if number == nil then error("more headings than the index knows, at: " .. pandoc.utils.stringify(element)) end
  if number ~= "" then element.attributes.number = number end
  element.classes = element.classes:filter(function(class) return class ~= "unnumbered" end)
  -- pandoc names a heading after its text: `## @exr-x` must not take the name of the exercise
  element.content:walk({ Link = function(link)
    if link.attributes.label == element.identifier then element.identifier = "about-" .. element.identifier end
  end })
  return element
end

return {
  { Inlines = equations, Cite = cite },
  { Div = div },
  { Figure = figure, Table = markdown_table, CodeBlock = listing },
  { Header = header },
  { Pandoc = function()
    if path and seen ~= #context.sections then error("fewer headings than the index knows") end
  end },
}
