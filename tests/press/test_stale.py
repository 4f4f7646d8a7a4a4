"""What makes a chapter stale, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from press.source import parse
from press.stale import Modules, chapter_key, facts, without_comments

CHAPTER = """# A

Text `{python} 1`.

```{python}
from agm.models import net
weights = "artifacts/net.safetensors"
```

```{python}
#| eval: false
not run
```
"""
FILES = {
    "tangled/agm/__init__.py": "",
    "tangled/agm/models/__init__.py": "from . import layers\n",
    "tangled/agm/models/net.py": "from ..base import Base\n",
    "tangled/agm/models/layers.py": "import agm.deep.down\n",
    "tangled/agm/base.py": '"""Base."""\nname = f"artifacts/base-{1}.json"\n',
    "tangled/agm/deep/__init__.py": "",
    "tangled/agm/deep/down.py": "def late():\n    from agm.lazy import x\n",
    "tangled/agm/lazy.py": "x = 1\n",
    "tangled/agm/unused.py": "y = 1\n",
    "artifacts/net.safetensors": "weights",
    "artifacts/base-1.json": "{}",
    "artifacts/other.json": "{}",
    "requirements.lock": "# made by pip\ntorch==2.13.0\nnumpy==2.0\n",
}
Key = Callable[[str], str]


@pytest.fixture
def key(tmp_path: Path) -> Key:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    def made(text: str) -> str:
        modules = Modules(tmp_path)
        found = chapter_key(parse(text, "a.qmd"), modules)
        modules.save()
        return found

    return made


@pytest.mark.parametrize(
    "path",
    [
        "tangled/agm/__init__.py",
        "tangled/agm/models/__init__.py",
        "tangled/agm/models/net.py",
        "tangled/agm/models/layers.py",
        "tangled/agm/base.py",
        "tangled/agm/deep/__init__.py",
        "tangled/agm/deep/down.py",
        "tangled/agm/lazy.py",
        "artifacts/net.safetensors",
        "artifacts/base-1.json",
        "requirements.lock",
    ],
)
def test_what_the_code_uses_counts(key: Key, tmp_path: Path, path: str) -> None:
    before = key(CHAPTER)
    with (tmp_path / path).open("a") as stream:
        stream.write("z = 3\n")
    assert key(CHAPTER) != before


@pytest.mark.parametrize("path", ["tangled/agm/unused.py", "artifacts/other.json"])
def test_what_it_does_not_use_does_not_count(key: Key, tmp_path: Path, path: str) -> None:
    before = key(CHAPTER)
    (tmp_path / path).write_text("changed = 1\n")
    assert key(CHAPTER) == before


def test_comments_count_neither_in_modules_nor_in_the_lock(key: Key, tmp_path: Path) -> None:
    before = key(CHAPTER)
    (tmp_path / "tangled/agm/lazy.py").write_text("# book/x.qmd § Other\nx = 1\n\n")
    (tmp_path / "requirements.lock").write_text("# made anew\nnumpy==2.0\ntorch==2.13.0\n")
    assert key(CHAPTER) == before


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("Text", "Other words", False),
        ("not run", "still not run", False),
        ("# A", "# B\n\n## Section", False),
        ("import net", "import net  # why", True),
        ("{python} 1", "{python} 2", True),
        ("#| eval: false\nnot run", "run()", True),
        ("```{python}\nfrom", "```{python}\n#| output: false\nfrom", True),
        ("```{python}\nfrom", "```{python}\n#| label: x\nfrom", False),
    ],
)
def test_code_and_options_count_and_prose_does_not(key: Key, old: str, new: str, stale: bool) -> None:
    assert old in CHAPTER
    assert (key(CHAPTER) != key(CHAPTER.replace(old, new))) == stale


def test_moving_inline_code_across_a_cell_counts(key: Key) -> None:
    inline = "Text `{python} 1`.\n"
    moved = CHAPTER.replace(inline, "").replace("```{python}\n#| eval", f"{inline}\n```{{python}}\n#| eval")
    assert key(CHAPTER) != key(moved)


def test_imports_are_found_beside_magics_and_in_functions() -> None:
    imports, strings = facts("%matplotlib inline\ndef f():\n    import agm.a as b\n'artifacts/x.json'", "")
    assert imports == {"agm.a"} and strings == {"artifacts/x.json"}
    assert facts("from .x import y\nfrom .. import z", "agm.p.q")[0] == {
        "agm.p.q.x", "agm.p.q.x.y", "agm.p", "agm.p.z",
    }  # fmt: skip


def test_only_lines_that_are_comments_are_left_out() -> None:
    text = 'x = 1  # kept\n# gone\ns = """\n# kept too\n"""\n'
    assert without_comments(text) == 'x = 1  # kept\ns = """\n# kept too\n"""'


def test_a_chapter_that_reads_the_book_depends_on_the_code_of_all_chapters_not_on_prose(
    tmp_path: Path,
) -> None:
    reader = parse('```{python}\nfolder = "book"\n```\n', "e.qmd")
    other = parse("Prose.\n\n```{python}\nx = 1\n```\n", "o.qmd")
    prose = parse("Other prose.\n\n```{python}\nx = 1\n```\n", "o.qmd")
    code = parse("Prose.\n\n```{python}\nx = 2\n```\n", "o.qmd")
    key = chapter_key(reader, Modules(tmp_path, [reader, other]))
    assert key == chapter_key(reader, Modules(tmp_path, [reader, prose]))
    assert key != chapter_key(reader, Modules(tmp_path, [reader, code]))
    plain = parse('```{python}\nfolder = "books"\n```\n', "e.qmd")
    assert chapter_key(plain, Modules(tmp_path, [other])) == chapter_key(plain, Modules(tmp_path, [code]))


def test_a_chapter_that_imports_the_proofreader_depends_on_it(tmp_path: Path) -> None:
    chapter = parse("```{python}\nfrom proofread import check\n```\n", "a.qmd")
    (tmp_path / "proofread").mkdir()
    (tmp_path / "proofread" / "judge.py").write_text("x = 1\n")
    before = chapter_key(chapter, Modules(tmp_path))
    (tmp_path / "proofread" / "judge.py").write_text("x = 2\n")
    assert chapter_key(chapter, Modules(tmp_path)) != before
