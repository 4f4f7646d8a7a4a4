"""Live preview: what the server sends, and that a saved chapter reaches the page, nothing executed."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from press import serve
from press.errors import PressError
from press.files import one_run
from tests.press.chromium import chromium
from tests.press.site_book import FIRST, write_site_book

PLAIN = "book/02-second/03-plain.qmd"


@pytest.fixture
def preview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[serve.Preview]:
    """A preview that is watching its book."""
    book = write_site_book(tmp_path)
    monkeypatch.setattr(serve, "POLL", 0.05)
    monkeypatch.setattr(serve, "QUIET", 0.3)
    made = serve.Preview(book.root, 0)
    before = serve.snapshot(book.root)
    made.weave(search=True)
    watcher = threading.Thread(target=serve.watch, args=(made, before), daemon=True)
    watcher.start()
    yield made
    made.close()
    watcher.join(5)


def get(preview: serve.Preview, path: str) -> str:
    with urllib.request.urlopen(preview.url + path, timeout=5) as answer:
        return str(answer.read().decode("utf-8"))


def edit(preview: serve.Preview, path: str, old: str, new: str) -> None:
    """Save as editors do: a new file renamed over the old one."""
    target = preview.root / path
    text = target.read_text(encoding="utf-8")
    assert old in text
    fresh = target.with_suffix(".tmp")
    fresh.write_text(text.replace(old, new), encoding="utf-8")
    fresh.replace(target)


def until(condition: object, seconds: float = 5.0) -> float:
    start = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert time.monotonic() - start < seconds, "nothing happened"
        time.sleep(0.02)
    return time.monotonic() - start


def events(preview: serve.Preview, seen: list[dict[str, str]]) -> None:
    with urllib.request.urlopen(preview.url + serve.EVENTS[1:], timeout=10) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:]))


def test_pages_listen_for_changes(preview: serve.Preview) -> None:
    assert f'<script defer src="{serve.SCRIPT}"></script>\n</body>' in get(preview, "")
    assert "EventSource" in get(preview, serve.SCRIPT[1:])
    assert get(preview, "assets/book.css").startswith("/*")
    assert serve.SCRIPT not in (preview.output / "index.html").read_text(encoding="utf-8")


def test_a_missing_page_still_listens(preview: serve.Preview) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(preview, "nowhere.html")
    assert caught.value.code == 404 and serve.SCRIPT in caught.value.read().decode()


def test_nothing_outside_the_site_is_served(preview: serve.Preview) -> None:
    with pytest.raises(urllib.error.HTTPError):
        get(preview, "../_quarto.yml")
    with pytest.raises(urllib.error.HTTPError):
        get(preview, "%2e%2e/_quarto.yml")


def test_a_saved_chapter_is_woven_within_two_seconds_and_nothing_executed(preview: serve.Preview) -> None:
    notebook = preview.root / "notebooks" / f"{FIRST}.ipynb"
    before = notebook.read_bytes()
    seen: list[dict[str, str]] = []
    threading.Thread(target=events, args=(preview, seen), daemon=True).start()
    until(lambda: seen)
    edit(preview, PLAIN, "Only prose", "A saved sentence")
    assert until(lambda: len(seen) > 1) < 2
    assert "A saved sentence" in get(preview, PLAIN.replace(".qmd", ".html"))
    assert seen[-1]["error"] == "" and seen[-1]["version"] != seen[0]["version"]
    assert notebook.read_bytes() == before


def test_other_pages_follow_when_it_is_quiet(preview: serve.Preview) -> None:
    edit(preview, PLAIN, "# Without math", "# A new title")
    until(lambda: "A new title" in get(preview, ""))
    until(lambda: not preview.error)


def test_an_error_is_told_and_mended(preview: serve.Preview) -> None:
    edit(preview, PLAIN, "@eq-ab", "@eq-nowhere")
    until(lambda: preview.error)
    assert preview.error.startswith(f"{PLAIN}:3: unknown label '@eq-nowhere' – ")
    assert "reference to" in get(preview, PLAIN.replace(".qmd", ".html"))
    edit(preview, PLAIN, "@eq-nowhere", "@eq-ab")
    until(lambda: not preview.error)


def test_a_broken_configuration_is_told(preview: serve.Preview) -> None:
    edit(preview, "_quarto.yml", "title:", "titel:")
    until(lambda: "unknown key 'titel'" in preview.error)


def test_another_run_is_told(tmp_path: Path) -> None:
    book = write_site_book(tmp_path)
    made = serve.Preview(book.root, 0)
    try:
        with one_run(book.root):
            made.weave()
        assert "another run" in made.error
    finally:
        made.close()


def test_a_taken_port(preview: serve.Preview) -> None:
    port = int(preview.url.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(PressError, match=rf"port {port} cannot be used.*choose another"):
        serve.Preview(preview.root, port)


def test_in_the_browser(preview: serve.Preview) -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto(preview.url + PLAIN.replace(".qmd", ".html"))
        edit(preview, PLAIN, "Only prose", "A saved sentence")
        page.wait_for_selector("text=A saved sentence", timeout=5000)
        edit(preview, PLAIN, "@eq-ab", "@eq-nowhere")
        page.wait_for_selector("#press-error", timeout=5000)
        assert "unknown label '@eq-nowhere'" in page.locator("#press-error").inner_text()
        edit(preview, PLAIN, "@eq-nowhere", "@eq-ab")
        page.wait_for_selector("#press-error", state="detached", timeout=5000)
