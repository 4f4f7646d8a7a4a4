-- For real Quarto only, after macros.lua: what the press's own weavers do by themselves.
-- A tangled block is headed by the file it tangles to; a sound becomes a sentence where it cannot be played.

local function head(code, file)
  if file and not code.attributes.filename then code.attributes.filename = file end
  code.attributes.file = nil
  return code
end

local function cell(div)
  if not div.classes:includes("cell") or not div.attributes.file then return nil end
  local file = div.attributes.file
  div.attributes.file = nil
  return div:walk({
    CodeBlock = function(code)
      if code.classes:includes("cell-code") then return head(code, code.attributes.file or file) end
    end,
  })
end

local function code_block(code)
  if code.attributes.file then return head(code, code.attributes.file) end
end

local function sound(raw)
  if raw.format:match("^html") and raw.text:match("<audio") and not FORMAT:match("html") then
    local name = raw.text:match('aria%-label="([^"]*)"')
    local text = "A sound, to be heard in the HTML edition" .. (name and " (" .. name .. ")" or "") .. "."
    return pandoc.Para({ pandoc.Emph({ pandoc.Str(text) }) })
  end
end

return { { Div = cell }, { CodeBlock = code_block, RawBlock = sound } }
