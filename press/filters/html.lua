-- From the press's normal form (see book.lua) to the elements that the style sheet and the scripts know. Runs last.
--
--   `<!--preview fig-x-->` … `<!--/preview fig-x-->` enclose what a hover preview shows; press/fragment.py takes them out.
--   Inline math carries `--w`, its estimated width in em, and display math `--h`, its estimated height: the page
--   keeps that room while MathJax is still at work, so that the text hardly moves.

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function raw(html) return pandoc.RawBlock("html", html) end
local function raw_inline(html) return pandoc.RawInline("html", html) end

local function preview(label, block)
  return { raw("<!--preview " .. label .. "-->"), block, raw("<!--/preview " .. label .. "-->") }
end

-- Math ---------------------------------------------------------------------------------------------------------------

-- Commands that print nothing of their own, and functions printed as they are called; any other command prints a glyph.
local silent, spelled = {}, {}
for name in ([[left right middle mathbf mathrm mathbb mathcal mathsf mathfrak boldsymbol operatorname text textit
  textbf frac tfrac dfrac sqrt displaystyle textstyle limits hat tilde bar overline underline vec widehat widetilde
  quad qquad]]):gmatch("%a+") do silent[name] = "" end
for name in ("log exp min max sup inf arg det lim cos sin tanh"):gmatch("%a+") do spelled[name] = name end

local function length(text) return utf8.len(text) or #text end

local function width(tex)
  local plain = tex:gsub("\\(%a+)", function(name) return silent[name] or spelled[name] or "x" end)
  plain = plain:gsub("\\[,;: ]", ""):gsub("\\[{}|]", "|")
  local small = 0
  local function raised(group)
    small = small + length((group:gsub("[{}%s]", "")))
    return ""
  end
  plain = plain:gsub("[_^]%s*(%b{})", raised):gsub("[_^]%s*([^%s{}])", raised):gsub("[{}%s]", "")
  local _, relations = plain:gsub("[=<>+~-]", "")
  return 0.5 * length(plain) + 0.36 * small + 0.5 * relations + 0.1
end

-- In em: a line of an `aligned`, taller where it holds fractions or big operators
local function height(tex)
  local function count(pattern) return select(2, tex:gsub(pattern, "")) end
  local tall = count("\\[dt]?frac") + count("\\sum") + count("\\int") + count("\\prod") > 0
  return (count("\\\\") + 1) * (tall and 2.9 or 1.9)
end

local function inline_math(math)
  return raw_inline(string.format('<span class="math inline" style="--w:%.1f">\\(%s\\)</span>', width(math.text), escape(math.text)))
end

local function display_math(math)
  return raw_inline(string.format('<span class="math display" style="--h:%.1f">\\[%s\\]</span>', height(math.text), escape(math.text)))
end

-- The verdict of the ledger beside the number
local function mark(span)
  local attributes = span.attributes
  if not attributes.mark then return "" end
  return string.format('<a class="equation-mark" href="%s" title="%s" aria-label="Verdict: %s">%s</a>',
    escape(attributes["mark-href"]), escape(attributes["mark-title"]), escape(attributes["mark-title"]), attributes.mark)
end

-- A display equation in its box: the math scrolls, the number stays
local function equation(span, number)
  local math = span.content[1]
  local out = pandoc.Inlines({ raw_inline('<span class="equation-body">'), display_math(math), raw_inline("</span>") })
  if number then
    out:insert(raw_inline(string.format(
      '<span class="equation-side"><a class="equation-number" href="#%s" aria-label="Equation %s">(%s)</a>%s</span>',
      span.identifier, number, number, mark(span))))
  end
  return pandoc.Span(out, pandoc.Attr(span.identifier, { "equation", number and "numbered" or nil }))
end

local function span(element)
  if not element.classes:includes("equation") then return nil end
  local label = element.identifier
  local box = equation(element, element.attributes.number)
  return { raw_inline("<!--preview " .. label .. "-->"), box, raw_inline("<!--/preview " .. label .. "-->") }, false
end

local function math(element)
  if element.mathtype == "InlineMath" then return inline_math(element) end
  return equation(pandoc.Span({ element }), nil)
end

-- Keep punctuation on the line of the formula before or after it
local function inlines(list)
  local out, position, changed = pandoc.Inlines({}), 1, false
  while position <= #list do
    local element = list[position]
    if element.t == "Math" and element.mathtype == "InlineMath" then
      local group = pandoc.Inlines({ element })
      local last = out[#out]
      if last and last.t == "Str" and last.text:match("[%(%[]$") then
        group:insert(1, pandoc.Str(last.text))
        out:remove(#out)
      end
      local follower = list[position + 1]
      if follower and follower.t == "Str" then
        local marks, rest = follower.text:match("^([%.,;:!%?%)%]'’”%-–]+)(.*)$")
        if follower.text:match("^%-?%a") then marks, rest = follower.text, "" end
        if marks then
          group:insert(pandoc.Str(marks))
          if rest ~= "" then list[position + 1] = pandoc.Str(rest) else position = position + 1 end
        end
      end
      if #group > 1 then
        out:insert(pandoc.Span(group, pandoc.Attr("", { "nowrap" })))
        changed = true
      else
        out:insert(element)
      end
    else
      out:insert(element)
    end
    position = position + 1
  end
  return changed and out or nil
end

-- Blocks -------------------------------------------------------------------------------------------------------------

local function header(element)
  local number = element.attributes.number
  if number then
    element.content:insert(1, pandoc.Space())
    element.content:insert(1, pandoc.Span(pandoc.Str(number), pandoc.Attr("", { "header-number" })))
    element.attributes.number = nil
  end
  return element
end

local function code_block(code)
  if not code.classes:includes("cell-code") then return nil end
  local file, fold = code.attributes.file, code.attributes["code-fold"]
  local summary = code.attributes["code-summary"] or "Show the code"
  local language = code.classes[1]
  local out = pandoc.Blocks({ pandoc.CodeBlock((code.text:gsub("^%s*\n", "")), pandoc.Attr("", { language })) })
  local head = file and '<p class="code-file"><span>' .. escape(file) .. "</span></p>" or ""
  if head ~= "" then out:insert(1, raw(head)) end
  out:insert(1, raw('<div class="code' .. (file and " has-file" or "") .. '">'))
  out:insert(raw("</div>"))
  if fold and fold ~= "false" then
    out:insert(1, raw('<details class="code-fold"' .. (fold == "show" and " open" or "") .. "><summary>" .. escape(summary) .. "</summary>"))
    out:insert(raw("</details>"))
  end
  return out
end

local function image(element)
  local alt = element.attributes["fig-alt"] or element.attributes.alt
  if alt then
    element.caption = pandoc.Inlines({ pandoc.Str(alt) })
    element.attributes["fig-alt"], element.attributes.alt = nil, nil
  end
  return element
end

local function figure(element)
  local label = element.identifier
  if not label:match("^fig%-") then return element end
  return preview(label, element)
end

local words = { proof = "Proof", solution = "Solution", remark = "Remark" }

local function opened(div, word)
  local first = div.content[1]
  local lead = pandoc.Inlines({ pandoc.Span(pandoc.Str(word .. "."), pandoc.Attr("", { "proof-label" })), pandoc.Space() })
  if first and (first.t == "Para" or first.t == "Plain") then
    lead:extend(first.content)
    div.content[1] = pandoc.Para(lead)
  else
    div.content:insert(1, pandoc.Para(lead))
  end
  return div
end

local function callout(div)
  local collapse = div.attributes.collapse
  local title, body = div.content[1], div.content[2]
  local classes = table.concat(div.classes, " ")
  local identifier = div.identifier ~= "" and ' id="' .. div.identifier .. '"' or ""
  local out = pandoc.Blocks({})
  if collapse then
    out:insert(raw("<details" .. identifier .. ' class="' .. classes .. '"' .. (collapse == "false" and " open" or "") .. ">"))
    local text = pandoc.write(pandoc.Pandoc({ title.content[1] }), "html")
    out:insert(raw('<summary class="callout-title">' .. text .. "</summary>"))
    out:insert(body)
    out:insert(raw("</details>"))
    return out
  end
  div.attributes = { role = "note" }
  return div
end

local function div(element)
  local label = element.identifier
  if element.classes:includes("theorem") or element.classes:includes("table-float") or element.classes:includes("listing") then
    for _, name in ipairs({ "lst-cap", "lst-label", "execution_count" }) do element.attributes[name] = nil end
    return preview(label, element)
  end
  if element.classes:includes("callout") then return callout(element) end
  if element.classes:includes("cell") then
    element.attributes = {}
    return element
  end
  if label == "refs" then
    if #element.content == 0 then return {} end
    return element
  end
  for _, class in ipairs(element.classes) do
    if words[class] then return opened(element, words[class]) end
  end
end

local function table_block(element)
  return pandoc.Div({ element }, pandoc.Attr("", { "table-scroll" }))
end

local function link(element)
  local target = element.target
  if element.classes:includes("xref") then
    element.classes:insert("xref-" .. element.attributes.kind)
    element.attributes.kind, element.attributes.label = nil, nil
  end
  if target:match("^%a[%w+.-]*:") then
    element.attributes.rel = "noopener"
  elseif target:match("%.qmd$") or target:match("%.qmd#") then
    element.target = target:gsub("%.qmd", ".html", 1)
  end
  return element
end

-- Give the bibliography its heading, unless the author wrote one
local function document(doc)
  local blocks = doc.blocks
  for position, block in ipairs(blocks) do
    if block.t == "Div" and block.identifier == "refs" then
      local before = blocks[position - 1]
      if not (before and before.t == "Header") then
        blocks:insert(position, pandoc.Header(2, "References", pandoc.Attr("references")))
      end
      break
    end
  end
  return doc
end

return {
  { Pandoc = document },
  { Inlines = inlines },
  { traverse = "topdown", Span = span, Math = math },
  { Header = header, Div = div, Figure = figure, CodeBlock = code_block, Table = table_block, Image = image, Link = link },
}
