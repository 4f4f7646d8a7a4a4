"""The site in a real browser: requests, math, previews, search, colours, keyboard, widths, accessibility."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from press.html import weave_html
from tests.press.chromium import chromium, served
from tests.press.site_book import FIRST, write_site_book

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EVERY, OTHER = f"/{FIRST}.html", "/book/01-first/02-other.html"
PAGES = ("/index.html", EVERY, OTHER, "/book/02-second/03-plain.html", "/book/appendices/a-data.html")
READY = "html[data-math=done]"
SHIFTS = """
    window.shift = 0;
    window.moved = [];
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) {
      window.shift += entry.value;
      window.moved.push([entry.value, ...entry.sources.map((part) => String(part.node?.className))]);
    } })
      .observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Path:
    return weave_html(write_site_book(tmp_path_factory.mktemp("site"))).parent


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with served(folder) as address:
        yield address


def visit(browser: Browser, url: str, width: int = 1440, height: int = 900, **options: Any) -> Page:
    """Open a page in a context of its own and wait for its math; whatever goes wrong in it fails the test."""
    page = browser.new_context(viewport={"width": width, "height": height}, **options).new_page()
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: pytest.fail(f"{url}: {error}"))
    page.add_init_script(SHIFTS)
    page.goto(url)
    page.wait_for_selector(READY)
    return page


@pytest.mark.parametrize("disk", [False, True], ids=["served", "from disk"])
def test_nothing_is_requested_from_elsewhere(browser: Browser, site: str, folder: Path, disk: bool) -> None:
    base = folder.as_uri() if disk else site
    requests: list[str] = []
    problems: list[str] = []
    context = browser.new_context()
    context.on("request", lambda request: requests.append(request.url))
    context.on("requestfailed", lambda request: problems.append(request.url))
    context.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page = context.new_page()
    for path in PAGES:
        page.goto(base + path)
        page.wait_for_selector(READY)
    page.keyboard.press("/")
    page.fill("#site-search", "quetzal")
    page.wait_for_selector("#site-results a" if not disk else ".search-status code")
    context.close()
    assert len(requests) > 4 * len(PAGES)
    assert not [url for url in requests if not url.startswith((base, "data:"))]
    assert not problems


@pytest.mark.parametrize("disk", [False, True], ids=["served", "from disk"])
def test_math_is_typeset(browser: Browser, site: str, folder: Path, disk: bool) -> None:
    page = visit(browser, (folder.as_uri() if disk else site) + EVERY)
    count = page.locator(".math").count()
    assert count > 12
    assert page.locator(".math.done mjx-container").count() == count
    assert page.locator("mjx-merror").count() == 0
    assert page.locator(".math mjx-assistive-mml math").count() == count
    assert page.evaluate("document.fonts.check('16px MJXTEX')")
    page.context.close()


@pytest.mark.parametrize("width", [360, 1440])
def test_the_text_keeps_its_place_while_math_is_typeset(browser: Browser, site: str, width: int) -> None:
    page = visit(browser, site + EVERY, width)
    assert page.evaluate("window.shift") < 0.05, page.evaluate("window.moved")
    page.context.close()


@pytest.mark.parametrize("width", [360, 768, 1024, 1440, 2560])
def test_no_page_is_wider_than_the_window(browser: Browser, site: str, width: int) -> None:
    page = visit(browser, site + PAGES[0], width)
    for path in PAGES:
        page.goto(site + path)
        page.wait_for_selector(READY)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.context.close()


def test_on_a_phone_long_things_scroll_in_their_boxes(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY, 360, 780)
    number = page.locator("#eq-long .equation-number").bounding_box()
    assert number and number["x"] + number["width"] <= 360
    scrolls = "(box) => box.scrollWidth > box.clientWidth + 1 && box.tabIndex === 0"
    for selector in ("#eq-long .equation-body", ".table-scroll", ".has-file pre", ".math.inline.wide"):
        assert page.locator(selector).first.evaluate(scrolls), selector
    assert not page.locator(".toc details").first.evaluate("(box) => box.open")
    page.context.close()


def test_what_scrolls_sideways_fades_where_there_is_more(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY, 360, 780)
    box = page.locator("#eq-long .equation-body")
    below = page.locator("#eq-long .equation-side").bounding_box()
    whole = box.bounding_box()
    assert below and whole and below["y"] >= whole["y"] + whole["height"] - 6  # the number gives way
    marks = "(box) => [box.classList.contains('more-before'), box.classList.contains('more-after')]"
    assert box.evaluate(marks) == [False, True]
    for left, expected in ((20, [True, True]), (9999, [True, False]), (0, [False, True])):
        box.evaluate("(box, left) => (box.scrollLeft = left)", left)
        page.wait_for_timeout(150)
        assert box.evaluate(marks) == expected
    assert page.locator(".equation.numbered:not(.broad)").count()  # short ones keep their number beside them
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, site: str, scheme: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = visit(browser, site + PAGES[0], color_scheme=scheme)
    for path in PAGES:
        page.goto(site + path)
        page.wait_for_selector(READY)
        page.evaluate("document.querySelectorAll('main details').forEach((box) => (box.open = true))")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}\n{found.generate_report()}"
    page.locator("a.xref").first.focus()
    page.keyboard.press("/")
    page.wait_for_selector("dialog.search[open]")
    assert Axe().run(page).violations_count == 0
    page.context.close()


def test_axe_finds_nothing_on_a_phone_with_the_chapters_open(browser: Browser, site: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = visit(browser, site + EVERY, 360, 780)
    assert page.locator(".site-nav").evaluate("(box) => getComputedStyle(box).visibility") == "hidden"
    page.click(".nav-button")
    page.wait_for_timeout(300)
    assert page.locator(".nav-button").get_attribute("aria-expanded") == "true"
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className").startswith("icon-button nav-button")
    page.context.close()


def test_skip_link_comes_first(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "site-content"
    page.context.close()


def preview_of(page: Page, selector: str) -> str:
    page.mouse.move(2, 2)
    page.wait_for_selector(".preview", state="hidden")
    page.locator(selector).first.hover()
    page.wait_for_selector(".preview", state="visible")
    page.wait_for_function(
        "![...document.querySelectorAll('.preview .math')].some((m) => !m.matches('.done'))"
    )
    return str(page.locator(".preview").inner_text())


def test_previews_on_the_same_page(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY)
    assert "(1.1)" in preview_of(page, "a.xref[href='#eq-kl']")
    assert page.locator(".preview mjx-container").count() == 1
    assert "Gibbs" in preview_of(page, "a.xref[href='#thm-gibbs']")
    assert "A footnote with" in preview_of(page, "a.footnote-ref")
    assert "Auto-Encoding" in preview_of(page, "a[role=doc-biblioref]")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))
    page.context.close()


@pytest.mark.parametrize("disk", [False, True], ids=["served", "from disk"])
def test_previews_of_other_chapters(browser: Browser, site: str, folder: Path, disk: bool) -> None:
    page = visit(browser, (folder.as_uri() if disk else site) + OTHER)
    assert "(1.1)" in preview_of(page, "a.xref-eq")
    assert page.locator(".preview mjx-container").count() == 1
    assert "Gibbs" in preview_of(page, "a.xref-thm")
    assert "A line with" in preview_of(page, "a.xref-fig")
    page.wait_for_function("document.querySelector('.preview img').naturalWidth > 0")
    assert "Hellinger" in preview_of(page, "a.xref-tbl")
    assert "A generative model is a guess" in preview_of(page, "a.xref-sec")
    page.context.close()


def test_previews_by_keyboard(browser: Browser, site: str) -> None:
    page = visit(browser, site + OTHER)
    page.locator("#site-content").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if "xref" in page.evaluate("document.activeElement.className"):
            break
    page.wait_for_selector(".preview", state="visible")
    assert page.locator(".xref[aria-describedby=site-preview]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".preview").is_hidden()
    page.context.close()


def test_search_finds_a_section_of_another_chapter(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY)
    page.keyboard.press("Control+k")
    page.fill("#site-search", "quetzal")
    page.wait_for_selector("#site-results a")
    link = page.locator("#site-results a").first
    assert "quetzal" in link.inner_text() and "Foundations" in page.locator(".search-page").first.inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{OTHER}#two")
    page.context.close()


def test_search_from_disk_says_what_to_do(browser: Browser, folder: Path) -> None:
    page = visit(browser, folder.as_uri() + EVERY)
    page.click(".search-button")
    assert "make serve" in page.locator(".search-status").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog.search").is_hidden()
    page.context.close()


def test_colours_follow_the_system_or_the_reader(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    filtered = "getComputedStyle(document.querySelector('#fig-line img')).filter"
    dark = page.evaluate(paper)
    assert page.evaluate(filtered) == "invert(1) hue-rotate(180deg)"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{paper} !== '{dark}'")
    assert page.evaluate(filtered) == "none"
    page.click(".theme-button")
    page.click(".theme-button")
    assert page.evaluate(paper) == dark
    page.reload()
    page.wait_for_selector(READY)
    assert page.evaluate(paper) == dark
    assert page.locator(".theme-button").get_attribute("aria-label") == "Colours: dark"
    page.context.close()


def test_the_table_of_contents_follows_the_reader(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY)
    assert page.locator(".toc [aria-current]").count() == 0
    page.locator("#a-subsection").evaluate("(node) => node.scrollIntoView({ behavior: 'instant' })")
    page.wait_for_selector(".toc a[href='#a-subsection'][aria-current]")
    assert page.locator(".toc [aria-current]").count() == 1
    page.context.close()


def test_copy_button_copies_the_code(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY, permissions=["clipboard-read", "clipboard-write"])
    page.locator(".has-file div.sourceCode").hover()
    page.locator(".has-file .copy-button").click()
    page.wait_for_function("document.querySelector('.has-file .copy-button').textContent === 'Copied'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("import torch\n\n\ndef divergence(") and "\n    return (log_p" in copied
    page.context.close()


def test_a_fragment_inside_folded_content_unfolds_it(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY)
    page.evaluate("document.querySelector('details.callout .callout-body').id = 'inside'")
    page.evaluate("location.hash = '#inside'")
    page.wait_for_function("document.querySelector('details.callout').open")
    page.context.close()


def test_on_paper_only_the_text_remains(browser: Browser, site: str) -> None:
    page = visit(browser, site + EVERY, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    for selector in (".site-header", ".site-nav", ".toc", ".pager", ".copy-button", "audio"):
        assert page.locator(selector).first.is_hidden(), selector
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".code-fold .code").is_visible()
    page.context.close()


def test_without_scripts_the_text_is_there(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site + EVERY)
    assert page.locator("h1").inner_text().startswith("1\nEvery construct")
    assert page.locator(".toc a").first.is_visible()
    assert page.locator("#eq-kl").is_visible()
    context.close()


def test_the_cover_leads_into_the_book(browser: Browser, site: str) -> None:
    page = visit(browser, site + "/index.html")
    assert page.locator(".cover h1").inner_text() == "A Book of Tests"
    assert page.locator("#site-contents li").count() == 4
    page.click("text=Start reading")
    page.wait_for_url(f"**{EVERY}")
    page.click(".pager .after a")
    page.wait_for_url(f"**{OTHER}")
    page.context.close()
