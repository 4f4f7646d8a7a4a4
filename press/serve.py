"""Live preview: the site on this machine, woven anew when a chapter is saved, reloaded by the browser itself.

Nothing is executed: outputs come from the notebooks as they are. What cannot be woven is said in the page.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import Any

from press import config
from press.cells import NOTEBOOKS
from press.config import CONFIG, Book
from press.errors import PressError
from press.files import one_run
from press.html import weave_html

EVENTS, SCRIPT = "/_press/events", "/_press/live.js"
POLL = 0.2
"""Seconds between two looks at the files."""
QUIET = 2.0
"""Seconds without a change after which the other pages and the search index follow."""
LIVE = (Path(__file__).parent / "assets" / "live.js").read_bytes()
TAG = f'<script defer src="{SCRIPT}"></script>\n'.encode()
NO_PAGE = (
    b'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>No such page</title></head>'
    b"<body><main><h1>No such page</h1><p>It is not there, or not there yet.</p></main></body></html>\n"
)
Snapshot = dict[str, tuple[int, int]]


class Preview:
    """A server for the site and the state that its pages follow.

    Args:
        root: Folder of the book.
        port: Port on this machine; 0 takes any that is free.

    Raises:
        PressError: The port is taken.
    """

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.started = time.time_ns()
        self.version = 0
        self.error = ""
        self.output = root / "_book"
        self.changed = threading.Condition()
        self.closed = False
        handler = type("Handler", (_Handler,), {"preview": self})
        try:
            self.server = _Server(("127.0.0.1", port), handler)
        except OSError as error:
            raise PressError(
                f"port {port} cannot be used: {error.strerror}", remedy="choose another: --port 8001"
            ) from None
        self.url = f"http://localhost:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def state(self) -> dict[str, str]:
        """What the pages are told."""
        return {"version": f"{self.started}-{self.version}", "error": self.error}

    def weave(self, only: list[str] | None = None, search: bool = False) -> None:
        """Weave and tell the pages, which reload unless only search is new; errors are told, not raised."""
        try:
            book = config.load(self.root)
            self.output = book.root / book.output
            listed = {entry.path for entry in book.entries}
            some = only if only and listed.issuperset(only) else None
            with one_run(book.root):
                weave_html(book, only=some, search=search)
            error = ""
        except PressError as problem:
            error = str(problem)
        except Exception as problem:
            error = f"unexpected {type(problem).__name__}: {problem}"
        with self.changed:
            self.version += not search or error != self.error
            self.error = error
            self.changed.notify_all()

    def close(self) -> None:
        """Stop serving."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()


def serve(book: Book, port: int) -> None:
    """Serve the site until interrupted.

    Args:
        book: The configuration; it is read again at every change.
        port: Port on this machine.

    Raises:
        PressError: The port is taken.
    """
    preview = Preview(book.root, port)
    try:
        before = snapshot(book.root)
        preview.weave(search=True)
        print(f"{preview.url} – save a chapter and its page reloads; Ctrl C ends", flush=True)
        report(preview)
        watch(preview, before)
    finally:
        preview.close()


def watch(preview: Preview, before: Snapshot) -> None:
    """Weave what changes, for ever: the saved chapters at once, everything else when it is quiet."""
    pending, last = False, 0.0
    while not preview.closed:
        time.sleep(POLL)
        now = snapshot(preview.root)
        changed = [path for path in now.keys() | before.keys() if now.get(path) != before.get(path)]
        before = now
        if changed:
            prose = all(path.endswith(".qmd") and path in now for path in changed)
            preview.weave(only=changed if prose else None)
            report(preview)
            pending, last = True, time.monotonic()
        elif pending and time.monotonic() - last > QUIET:
            pending = False
            preview.weave(search=True)


def report(preview: Preview) -> None:
    """Say on the terminal what the pages say."""
    if preview.error:
        print(preview.error, flush=True)


def snapshot(root: Path) -> Snapshot:
    """Time and size of every file that the site is made from, by path relative to the root.

    Looking is as good as being told for a few hundred files, and it survives editors that save by renaming.
    """
    found: Snapshot = {}
    folders = (root / "book", root / NOTEBOOKS)
    for path in chain(
        root.glob("*.qmd"), root.glob("*.bib"), [root / CONFIG], *(f.rglob("*.*") for f in folders)
    ):
        try:
            status = path.stat()
        except OSError:
            continue
        found[str(path.relative_to(root))] = (status.st_mtime_ns, status.st_size)
    return found


class _Server(ThreadingHTTPServer):
    """A server that takes a browser's hanging up for what it is."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(SimpleHTTPRequestHandler):
    """Files of the site, with the script that listens for changes added to each page."""

    preview: Preview

    def translate_path(self, path: str) -> str:
        self.directory = str(self.preview.output)
        return super().translate_path(path)

    def do_GET(self) -> None:
        """Answer with the events, the script, a page with the script, or a file."""
        path = self.path.split("?")[0].split("#")[0]
        if path == EVENTS:
            self._events()
        elif path == SCRIPT:
            self._send(200, "text/javascript; charset=utf-8", LIVE)
        elif path.endswith((".html", "/")):
            self._page(Path(self.translate_path(path)))
        else:
            super().do_GET()

    def _page(self, file: Path) -> None:
        page = file / "index.html" if file.is_dir() else file
        found = page.is_file()
        html = page.read_bytes() if found else NO_PAGE
        self._send(
            200 if found else 404, "text/html; charset=utf-8", html.replace(b"</body>", TAG + b"</body>")
        )

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        preview, told = self.preview, ""
        try:
            while not preview.closed:
                with preview.changed:
                    if json.dumps(preview.state()) == told:
                        preview.changed.wait(10)
                    now = json.dumps(preview.state())
                self.wfile.write(b": still here\n\n" if now == told else f"data: {now}\n\n".encode())
                self.wfile.flush()
                told = now
        except (BrokenPipeError, ConnectionResetError):
            return

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing about each request."""
