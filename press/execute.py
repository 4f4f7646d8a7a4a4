"""Execute the stale chapters, several at once, and keep their notebooks what the book makes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from press.cells import notebook_path
from press.config import Book
from press.data import fetch
from press.errors import PressError, PressErrors
from press.files import CACHE, digest, read_json, write, write_json
from press.index import Index, build
from press.notebook import Results, assemble, inputs, read, results_of, running
from press.source import Chapter
from press.source import read as read_chapter
from press.stale import Modules, chapter_key

TIMEOUT = 120.0
"""Seconds that one cell may take."""


@dataclass(frozen=True)
class _Task:
    """A chapter whose notebook is not what the book makes; `results` is None when it must be executed."""

    chapter: Chapter
    key: str
    inputs: str
    results: Results | None


def execute(
    book: Book,
    only: str | None = None,
    everything: bool = False,
    jobs: int = 2,
    check: bool = False,
    timeout: float = TIMEOUT,
) -> list[Path]:
    """Execute what is stale and write its notebooks; refresh the prose of those that are fresh.

    Args:
        book: The book.
        only: Path of the one chapter to look at, None for all.
        everything: Execute also what is fresh.
        jobs: Chapters at work at once.
        check: Execute and write nothing, only tell which notebooks are not what the book makes.
        timeout: Seconds that one cell may take.

    Returns:
        The notebooks written.

    Raises:
        PressErrors: Cells that failed, each with its place, after all other chapters are done; or, when
            checking, the stale notebooks.
    """
    chapters = {entry.path: read_chapter(book.root, entry.path) for entry in book.entries}
    index, errors = build(book, chapters)
    if errors:
        raise PressErrors(errors)
    run = _Execution(book, index, jobs, timeout)
    wanted = [chapters[book.entry(only).path]] if only else list(chapters.values())
    tasks = run.tasks(wanted, everything, Modules(book.root, chapters.values()))
    if check:
        if tasks or run.errors:
            raise PressErrors([*run.errors, *map(_stale, tasks)])
        return []
    stale = [task for task in tasks if task.results is None]
    try:
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            list(pool.map(run.store, [task for task in tasks if task.results is not None]))
        if stale:
            fetch(book.root, [task.chapter for task in stale])
            _loop(run, stale)
    finally:
        run.save()
    if run.errors:
        order = [entry.path for entry in book.entries]
        raise PressErrors(
            sorted(run.errors, key=lambda error: order.index(error.file) if error.file in order else -1)
        )
    return run.written


def _stale(task: _Task) -> PressError:
    why = "its code or what it uses changed" if task.results is None else "its prose changed"
    return PressError(
        f"the notebook is out of date: {why}", file=task.chapter.path, remedy="run 'make execute'"
    )


class _Execution:
    """What one run shares between chapters."""

    def __init__(self, book: Book, index: Index, jobs: int, timeout: float) -> None:
        self.book, self.index, self.jobs, self.timeout = book, index, max(1, jobs), timeout
        self.errors: list[PressError] = []
        self.written: list[Path] = []
        self.seconds: dict[str, float] = {}
        self._manifest_path = book.root / CACHE / "notebooks.json"
        self._manifest: dict[str, list[str]] = read_json(self._manifest_path, {})
        self._lock = threading.Lock()

    def tasks(self, chapters: list[Chapter], everything: bool, modules: Modules) -> list[_Task]:
        """The chapters whose notebook must be written."""
        found = []
        for chapter in chapters:
            try:
                task = self._task(chapter, modules, everything)
            except PressError as error:
                self.errors.append(error)
            else:
                found += [task] if task else []
        modules.save()
        return found

    def _task(self, chapter: Chapter, modules: Modules, everything: bool) -> _Task | None:
        key = chapter_key(chapter, modules)
        wanted = inputs(self.book, chapter, self.index, key)
        path = notebook_path(self.book.root, chapter.path)
        runs = bool(running(chapter) or chapter.inline)
        if not (everything and runs) and self._manifest.get(chapter.path) == [wanted, self._digest(path)]:
            return None
        results = results_of(read(self.book, chapter.path))
        evaluated = sum(cell.evaluated for cell in chapter.cells)
        fits = results is not None and results.key == key
        fits = fits and results is not None and len(results.outputs) == evaluated
        fits = fits and results is not None and len(results.inline) == len(chapter.inline)
        if not runs:
            results, fits = Results(key, [[] for _ in range(evaluated)], []), True
        if (everything and runs) or not fits:
            return _Task(chapter, key, wanted, None)
        assert results is not None
        text = assemble(self.book, chapter, self.index, results)
        if path.is_file() and path.read_bytes() == text.encode():
            self._manifest[chapter.path] = [wanted, self._digest(path)]
            return None
        return _Task(chapter, key, wanted, results)

    def store(self, task: _Task, results: Results | None = None) -> None:
        """Write the notebook of a chapter, whole or not at all."""
        used = results or task.results
        assert used is not None
        path = notebook_path(self.book.root, task.chapter.path)
        try:
            text = assemble(self.book, task.chapter, self.index, used)
            write(path, text)
        except PressError as error:
            with self._lock:
                self.errors.append(error)
            return
        with self._lock:
            self._manifest[task.chapter.path] = [task.inputs, self._digest(path)]
            self.written.append(path)

    def save(self) -> None:
        """Keep the manifest and the times."""
        known = {entry.path for entry in self.book.entries}
        write_json(
            self._manifest_path, {path: value for path, value in self._manifest.items() if path in known}
        )
        if self.seconds:
            times = self.book.root / CACHE / "times.json"
            write_json(
                times, read_json(times, {}) | {path: round(value, 2) for path, value in self.seconds.items()}
            )

    @staticmethod
    def _digest(path: Path) -> str:
        return digest(path.read_bytes()) if path.is_file() else ""


def _loop(run: _Execution, tasks: list[_Task]) -> None:
    """Execute the tasks; a signal ends the kernels, and what is finished stays."""
    ended_by: list[int] = []

    async def main() -> None:
        loop, this = asyncio.get_running_loop(), asyncio.current_task()
        assert this is not None

        def stop(number: int) -> None:
            ended_by.append(number)
            this.cancel()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        caught = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # nohup
        if threading.current_thread() is threading.main_thread():
            for number in caught:
                loop.add_signal_handler(number, stop, number)
        try:
            await _all(run, tasks)
        finally:
            if threading.current_thread() is threading.main_thread():
                for number in caught:
                    loop.remove_signal_handler(number)

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main())
    if ended_by:
        raise KeyboardInterrupt


async def _all(run: _Execution, tasks: list[_Task]) -> None:
    from tqdm import tqdm

    import press.kernel as kernel

    gate = asyncio.Semaphore(run.jobs)
    at_work: dict[str, str] = {}
    slow = _seconds_before(run.book)
    # the longest first, so that no core is idle at the end
    tasks = sorted(tasks, key=lambda task: -slow.get(task.chapter.path, 1e9))
    with tqdm(total=len(tasks), desc="execute", unit="chapter", disable=None) as bar:

        def show() -> None:
            bar.set_postfix_str(", ".join(f"{_name(path)} {cell}" for path, cell in at_work.items()))

        async def one(task: _Task) -> None:
            path = task.chapter.path
            async with gate:
                start = time.monotonic()

                def progress(cell: str) -> None:
                    at_work[path] = cell
                    show()

                try:
                    results = await kernel.run(
                        run.book.root, task.chapter, task.key, run.jobs, run.timeout, progress
                    )
                    await asyncio.to_thread(run.store, task, results)
                except PressError as error:
                    run.errors.append(error)
                finally:
                    run.seconds[path] = time.monotonic() - start
                    at_work.pop(path, None)
                    bar.update()
                    show()

        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(one(task))
    failed = {error.file for error in run.errors}
    for path, seconds in sorted(run.seconds.items(), key=lambda item: -item[1]):
        print(f"{'failed' if path in failed else 'executed'} {path} in {seconds:.1f} s")


def _seconds_before(book: Book) -> dict[str, float]:
    return read_json(book.root / CACHE / "times.json", {})


def _name(path: str) -> str:
    return path.removesuffix(".qmd").rsplit("/", 1)[-1]
