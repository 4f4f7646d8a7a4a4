"""One chapter in one fresh kernel."""

from __future__ import annotations

import ast
import asyncio
import logging
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

from press.cells import cell_ids, hidden
from press.errors import PressError
from press.files import CACHE
from press.merge import escaped
from press.notebook import Results, running
from press.outputs import ANSI, Stream, cleaned
from press.source import Cell, Chapter
from press.stale import inline_places

START_UP = 180
"""Seconds that a kernel may take to start on a busy machine."""
QUIET = logging.Logger("press.kernel", logging.CRITICAL)
"""What goes wrong is told once, as a `PressError`."""
MANY = 2000
"""Outputs of one cell that are collected; a runaway loop shows no more."""


class _Specs(KernelSpecManager):
    """Knows one kernel: that of the Python which runs the press, whatever is installed elsewhere."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(
            argv=[*argv, "--HistoryManager.enabled=False", "--log-level=ERROR"],
            display_name="Python 3",
            language="python",
        )


class _Client(NotebookClient):
    """Collects streams as a terminal shows them, so that a cell that prints without end fills no memory."""

    streams: dict[str, Stream]

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "stream":
            name, text = msg["content"]["name"], msg["content"]["text"]
            if name not in self.streams:
                self.streams[name] = Stream(name)
                super().process_message(msg, cell, cell_index)
            self.streams[name].feed(text)
            return None
        if msg["msg_type"] == "display_data" and len(cell.outputs) > MANY:
            return None
        return super().process_message(msg, cell, cell_index)

    def clear_output(self, outs: list[Any], msg: dict[str, Any], cell_index: int) -> None:
        super().clear_output(outs, msg, cell_index)
        self.streams.clear()


async def run(
    root: Path, chapter: Chapter, key: str, jobs: int, timeout: float, progress: Callable[[str], None]
) -> Results:
    """Execute the cells of a chapter in order and its inline code between them.

    Args:
        root: The root of the book, where the kernel works.
        chapter: The chapter.
        key: Its staleness key, stored with the results.
        jobs: How many chapters run at once; when several do, each gets one thread.
        timeout: Seconds that one cell may take.
        progress: Called with the name of each cell before it runs.

    Raises:
        PressError: A cell or an inline expression failed, ran too long or ended its kernel.
    """
    numbers = running(chapter)
    notebook = new_notebook(cells=[new_code_cell(chapter.cells[number].source) for number in numbers])
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=_Specs(), log=QUIET)
    client = _Client(
        notebook, km=manager, timeout=timeout, startup_timeout=START_UP, record_timing=False, log=QUIET
    )
    client.iopub_timeout = 30
    client.streams = {}
    try:
        try:
            await client.async_start_new_kernel(env=_environment(root, jobs), cwd=str(root))
            await client.async_start_new_kernel_client()
        except (RuntimeError, OSError, ImportError) as error:
            what = f"no kernel could be started: {' '.join(str(error).split())}"
            raise PressError(
                what, file=chapter.path, remedy="run 'make setup'; is the memory full?"
            ) from None
        return await _Run(client, root, chapter, key, timeout, progress).everything(numbers)
    finally:
        await _end(client, manager)


class _Run:
    """The execution of one chapter in a kernel that is there."""

    def __init__(
        self,
        client: _Client,
        root: Path,
        chapter: Chapter,
        key: str,
        timeout: float,
        progress: Callable[[str], None],
    ) -> None:
        self.client, self.root, self.chapter, self.key = client, root, chapter, key
        self.timeout, self.progress = timeout, progress
        self.names = cell_ids(chapter)

    async def everything(self, numbers: list[int]) -> Results:
        """All cells and inline code."""
        evaluated = [number for number, cell in enumerate(self.chapter.cells) if cell.evaluated]
        waiting = list(
            zip([line for line, _ in self.chapter.inline], inline_places(self.chapter), strict=True)
        )
        outputs: list[list[dict[str, Any]]] = []
        values: list[str] = []
        for place in range(len(evaluated) + 1):
            here = [(line, code) for line, (where, code) in waiting if where == place]
            if here:
                values += await self._inline(here)
            if place == len(evaluated):
                break
            number = evaluated[place]
            outputs.append(await self._cell(number, numbers.index(number)) if number in numbers else [])
        return Results(self.key, outputs, values)

    async def _cell(self, number: int, position: int) -> list[dict[str, Any]]:
        cell, name = self.chapter.cells[number], self.names[number]
        self.progress(name)
        self.client.streams.clear()
        made = self.client.nb.cells[position]
        try:
            await self.client.async_execute_cell(made, position)
        except CellExecutionError as error:
            raise self._failed(cell, name, position + 1, error) from None
        except CellTimeoutError:
            raise self._error(
                cell,
                f"cell '{name}' ran longer than {self.timeout:g} s",
                "make it faster, move the work to 'make train', or give --timeout",
            ) from None
        except DeadKernelError:
            raise self._error(
                cell,
                f"cell '{name}' ended its kernel",
                "look for exit(), a crash in compiled code, or too much memory",
            ) from None
        for output in made.outputs:
            if output["output_type"] == "stream":
                output["text"] = self.client.streams[output["name"]].text
        kept = cleaned(made.outputs, position + 1, self.root)
        figures = sum(any(form.startswith("image/") for form in output.get("data", {})) for output in kept)
        if cell.label.startswith("fig-") and not hidden(cell) and figures != 1:
            raise self._error(
                cell, f"cell '{name}' shows {figures} figures", "a cell labelled 'fig-…' shows exactly one"
            )
        return [] if hidden(cell) else kept

    def _failed(self, cell: Cell, name: str, count: int, error: CellExecutionError) -> PressError:
        """The error of a cell, at the line of the chapter whose statement failed."""
        trace = ANSI.sub("", error.traceback)
        frames = [
            int(line)
            for run, line in re.findall(r"Cell In\s*\[(\d+)\], line (\d+)", trace)
            if int(run) == count
        ]
        line = cell.code_line + frames[-1] - 1 if frames else cell.line
        message = " ".join(ANSI.sub("", str(error.evalue)).split())[:300]
        steps = re.findall(r"^(?:File |Cell In\s*)\S*?([\w./-]+\.py|\[\d+\])(?::|, line )(\d+)", trace, re.M)
        tail = [text for text in trace.rstrip().splitlines() if text.strip()][-6:]
        where = ""
        if steps and steps[-1][0].endswith(".py"):
            where = f" (in {steps[-1][0].replace(str(self.root) + '/', '')}:{steps[-1][1]})"
        remedy = "mend the cell; its traceback ends\n    " + "\n    ".join(tail)
        return PressError(
            f"cell '{name}' raised {error.ename}: {message}{where}",
            file=self.chapter.path,
            line=line,
            remedy=remedy,
        )

    async def _inline(self, places: list[tuple[int, str]]) -> list[str]:
        client: Any = self.client.kc
        manager: Any = self.client.km
        expressions = {str(number): code for number, (_, code) in enumerate(places)}
        request = client.execute("", silent=True, user_expressions=expressions)

        async def reply() -> dict[str, Any]:
            while True:
                message = await client.get_shell_msg(timeout=None)
                if message["parent_header"].get("msg_id") == request:
                    return message["content"]

        answer = asyncio.ensure_future(reply())
        try:
            for _ in range(max(1, int(self.timeout * 2))):
                done, _ = await asyncio.wait({answer}, timeout=0.5)
                if done or not await manager.is_alive():
                    break
        finally:
            answer.cancel()
        path, line = self.chapter.path, places[0][0]
        if not answer.done() or answer.cancelled():
            what, remedy = "inline code ended its kernel or ran too long", "compute the value in a cell"
            raise PressError(what, file=path, line=line, remedy=remedy)
        values = []
        for number, (line, code) in enumerate(places):
            result = answer.result()["user_expressions"][str(number)]
            if result["status"] != "ok":
                what = f"inline code '{code}' raised {result['ename']}: {result['evalue']}"
                raise PressError(what, file=path, line=line, remedy="define it in a cell above")
            values.append(_shown(result["data"]))
        return values

    def _error(self, cell: Cell, what: str, remedy: str) -> PressError:
        return PressError(what, file=self.chapter.path, line=cell.line, remedy=remedy)


def _shown(data: dict[str, Any]) -> str:
    """The value of inline code as Markdown: its own, if it has some, else its text taken literally."""
    for form in ("text/markdown", "text/latex"):
        if form in data:
            return " ".join(str(data[form]).split())
    text = str(data.get("text/plain", ""))
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    return escaped(" ".join((value if isinstance(value, str) else text).split()))


def _environment(root: Path, jobs: int) -> dict[str, str]:
    """The kernel's environment, the same on every machine as far as results depend on it."""
    paths = [str(root / "tangled"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "IPYTHONDIR": str(root / CACHE / "ipython"),
        "OMP_WAIT_POLICY": "PASSIVE",
        "SOURCE_DATE_EPOCH": "0",
        # progress bars are kept as text, on purpose
        "PYTHONWARNINGS": "ignore:IProgress not found",
        "TERM": "dumb",
        "COLUMNS": "100",
    }
    environment.setdefault("JAX_PLATFORMS", "cpu")
    if jobs > 1:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[name] = "1"
    return environment


async def _end(client: _Client, manager: AsyncKernelManager) -> None:
    """End the kernel and all it started, however the run ended."""
    process = getattr(manager.provisioner, "pid", None) if manager.provisioner else None
    if process:
        for kill in (os.killpg, os.kill):  # the kernel leads a process group of its own
            try:
                kill(process, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
    if client.kc is not None:
        client.kc.stop_channels()
    if manager.has_kernel:
        await manager.shutdown_kernel(now=True)
