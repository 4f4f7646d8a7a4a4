"""Executing chapters: what runs, what is kept, what an author is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from press.config import Book, load
from press.errors import PressErrors
from press.execute import execute
from press.kernel import _Specs
from press.notebook import read
from press.outputs import LONGEST, Stream, cleaned

ROOT = Path(__file__).parents[2]
MakeBook = Callable[[Path, Mapping[str, str]], Book]


def cell(code: str, label: str = "", **options: str) -> str:
    header = "".join(f"#| {key}: {value}\n" for key, value in ({"label": label} | options).items() if value)
    return f"\n```{{python}}\n{header}{code}\n```\n"


def outputs(book: Book, path: str) -> list[list[dict[str, Any]]]:
    notebook = read(book, path)
    assert notebook is not None
    return [item.outputs for item in notebook.cells if item.cell_type == "code"]


def text_of(book: Book, path: str) -> str:
    return "".join(output["text"] for found in outputs(book, path) for output in found if "text" in output)


FAILING = {
    "raises.qmd": "# A\n"
    + cell("ok = 1\n\n\ndef f():\n    return 1 / 0\n", "first")
    + cell("x = 1\n\ny = (\n    f()\n)\n", "second"),
    "syntax.qmd": "# B\n" + cell("x = 1\ny = = 2"),
    "loops.qmd": "# C\n" + cell("while True:\n    pass", "forever"),
    "dies.qmd": "# D\n" + cell("import os\nos._exit(3)", "killer"),
    "inline.qmd": "# E\n\nA value\nof `{python} missing`.\n",
    "figure.qmd": "# F\n" + cell("1", "fig-none", **{"fig-cap": '"C"', "fig-alt": '"A"'}),
    "module.qmd": "# G\n" + cell("from agm.broken import fail\n\nfail()"),
    "good.qmd": "# H\n" + cell("print('fine')"),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory, make_book: MakeBook) -> tuple[Book, dict[str, str]]:
    """One run over chapters that fail in every way, and one that is good."""
    folder = tmp_path_factory.mktemp("failing")
    package = {
        "tangled/agm/__init__.py": "",
        "tangled/agm/broken.py": "def fail():\n    raise KeyError('k')\n",
    }
    book = make_book(folder, FAILING | package)
    with pytest.raises(PressErrors) as caught:
        execute(book, timeout=8)
    return book, {str(error.file): str(error) for error in caught.value.errors}


@pytest.mark.parametrize(
    ("path", "line", "said"),
    [
        ("raises.qmd", 18, "cell 'second' raised ZeroDivisionError: division by zero"),
        ("syntax.qmd", 5, "raised SyntaxError"),
        ("loops.qmd", 3, "cell 'forever' ran longer than 8 s"),
        ("dies.qmd", 3, "cell 'killer' ended its kernel"),
        ("inline.qmd", 4, "inline code 'missing' raised NameError"),
        ("figure.qmd", 3, "cell 'fig-none' shows 0 figures"),
        ("module.qmd", 6, "raised KeyError: 'k' (in tangled/agm/broken.py:2)"),
    ],
)
def test_a_failure_names_file_line_and_cell(
    failed: tuple[Book, dict[str, str]], path: str, line: int, said: str
) -> None:
    book, errors = failed
    first = errors[path].splitlines()[0]
    assert first.startswith(f"{path}:{line}: ") and said in first and " – " in first
    assert not (book.root / "notebooks" / path.replace(".qmd", ".ipynb")).exists()


def test_a_failure_shows_the_end_of_the_traceback(failed: tuple[Book, dict[str, str]]) -> None:
    assert "return 1 / 0" in failed[1]["raises.qmd"]
    assert "\x1b" not in failed[1]["raises.qmd"]


def test_other_chapters_still_run(failed: tuple[Book, dict[str, str]]) -> None:
    book, errors = failed
    assert set(errors) == set(FAILING) - {"good.qmd"}
    assert text_of(book, "good.qmd") == "fine\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, make_book: MakeBook) -> Book:
    """A book whose chapters do all that is allowed."""
    plot = (
        "import matplotlib.pyplot as plt\n"
        "from matplotlib_inline.backend_inline import set_matplotlib_formats\n"
        "set_matplotlib_formats('svg')\n"
        "figure, axes = plt.subplots()\naxes.plot([1, 2])\naxes.set_title('T')\nplt.show()"
    )
    steps = (
        "from tqdm import tqdm\nimport time\nfor _ in tqdm(range(20)):\n    time.sleep(0.02)\nprint('end')"
    )
    noisy = "for _ in range(20):\n    print('spam' * 125_000)"
    files = {
        "tangled/agm/__init__.py": "",
        "tangled/agm/m.py": "VALUE = 41\n",
        "figure.qmd": "# A\n\n`{python} 'x*'` and `{python} 2`.\n"
        + cell("x = 1")
        + "\nNow `{python} x`.\n"
        + cell("x = 2")
        + "\nNow `{python} x` and `{python} f'{x:.1f}'`.\n"
        + cell(plot, "fig-a", **{"fig-cap": '"C"', "fig-alt": '"A"'}),
        "noisy.qmd": "# B\n" + cell(noisy, "noisy") + cell(steps) + cell("print('a\\rb')\nobject()"),
        "options.qmd": "# C\n"
        + cell("print('hidden')", output="false")
        + cell("raise SystemExit", eval="false")
        + cell("from agm.m import VALUE\nVALUE")
        + cell("class Test:\n    pass", file="tests/chapters/test_x.py"),
        "prose.qmd": "# D\n\nNothing to run.\n",
        "environment.qmd": "# E\n"
        + cell(
            "import os, sys\nroot = os.environ['BOOK']\n"
            "print(os.environ['PYTHONHASHSEED'], os.environ['OMP_NUM_THREADS'])\n"
            f"print(sys.executable == {sys.executable!r}, os.getcwd() == root)\nprint(root + '/x')"
        ),
    }
    book = make_book(tmp_path_factory.mktemp("good"), files)
    os.environ["BOOK"] = str(book.root)
    try:
        written = execute(book)
    finally:
        del os.environ["BOOK"]
    assert len(written) == 5
    return book


def test_inline_code_sees_the_cells_above_it(ran: Book) -> None:
    notebook = read(ran, "figure.qmd")
    assert notebook is not None
    assert [item["value"] for item in notebook.metadata["press"]["inline"]] == ["x\\*", "2", "1", "2", "2.0"]


def test_figures_are_vectors_without_dates(ran: Book) -> None:
    figure = outputs(ran, "figure.qmd")[2][0]["data"]["image/svg+xml"]
    assert "<svg" in figure and "<metadata" not in figure and "c3-1-1" in figure


def test_ten_megabytes_are_cut_with_a_note(ran: Book) -> None:
    [output] = outputs(ran, "noisy.qmd")[0]
    assert len(output["text"]) < LONGEST + 100
    assert output["text"].endswith("9,990,020 more characters are not shown\n")


def test_progress_bars_are_one_line_without_times(ran: Book) -> None:
    steps, returned = outputs(ran, "noisy.qmd")[1:]
    assert [output["text"] for output in steps] == ["end\n", "100%|██████████| 20/20\n"]
    assert returned[0]["text"] == "b\n" and returned[1]["data"] == {"text/plain": "<object>"}


def test_options_decide_what_runs_and_what_is_kept(ran: Book) -> None:
    hidden, imported, tests = outputs(ran, "options.qmd")
    assert hidden == [] and tests == []
    assert imported[0]["data"]["text/plain"] == "41"


def test_the_environment_is_the_same_everywhere(ran: Book) -> None:
    first, second, third = text_of(ran, "environment.qmd").splitlines()
    assert first == "0 1" and second == "True True" and third == "x"


def test_a_second_run_does_nothing(ran: Book) -> None:
    assert execute(ran) == [] and execute(ran, check=True) == []


def test_executing_again_changes_no_byte(ran: Book) -> None:
    paths = [ran.root / "notebooks" / name for name in ("figure.ipynb", "noisy.ipynb")]
    before = [path.read_bytes() for path in paths]
    for name in ("figure.qmd", "noisy.qmd"):
        execute(ran, only=name, everything=True, jobs=1)
    assert [path.read_bytes() for path in paths] == before


def test_the_cache_may_be_deleted(ran: Book) -> None:
    for path in (ran.root / ".press").glob("*.json"):
        path.unlink()
    assert execute(ran, check=True) == []


def test_a_prose_edit_executes_nothing_and_keeps_outputs(ran: Book) -> None:
    path = ran.root / "options.qmd"
    before = outputs(ran, "options.qmd")
    path.write_text(path.read_text().replace("# C\n", "# A new title\n\nWords.\n"))
    with pytest.raises(PressErrors, match=r"options.qmd: the notebook is out of date: its prose changed"):
        execute(ran, check=True)
    started = time.monotonic()
    assert [path.name for path in execute(ran)] == ["options.ipynb"]
    assert time.monotonic() - started < 5 and outputs(ran, "options.qmd") == before
    notebook = read(ran, "options.qmd")
    assert notebook is not None and "A new title" in notebook.cells[0].source


def test_a_changed_module_is_executed_again(ran: Book) -> None:
    (ran.root / "tangled/agm/m.py").write_text("# A comment\nVALUE = 41\n")
    assert execute(ran, check=True) == []
    (ran.root / "tangled/agm/m.py").write_text("VALUE = 42\n")
    with pytest.raises(PressErrors, match=r"options.qmd: .* its code or what it uses changed"):
        execute(ran, check=True)
    assert [path.name for path in execute(ran)] == ["options.ipynb"]
    assert outputs(ran, "options.qmd")[1][0]["data"]["text/plain"] == "42"


def test_a_damaged_notebook_is_made_anew(ran: Book) -> None:
    path = ran.root / "notebooks/options.ipynb"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert execute(ran) == [path] and path.read_bytes() == whole


def test_the_kernel_is_of_this_python() -> None:
    assert _Specs().get_kernel_spec("python3").argv[0] == sys.executable


def test_streams_are_what_a_terminal_shows() -> None:
    stream = Stream("stdout")
    for piece in ("10%\r", "20%", "\r\x1b[32m100%\x1b[0m\n", "a\r\nb", "c\rX\n"):
        stream.feed(piece)
    assert stream.text == "100%\na\nX\n"


def test_an_endless_line_fills_no_memory() -> None:
    stream = Stream("stdout")
    for _ in range(1000):
        stream.feed("x" * LONGEST)
    assert len(stream._line) <= 2 * LONGEST
    assert stream.text.endswith("9,990,000 more characters are not shown\n")


def test_what_only_a_widget_shows_is_dropped() -> None:
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "  0%|  | 0/3"}
    unknown = {"application/json": {}}
    found = [{"output_type": "display_data", "data": data, "metadata": {}} for data in (widget, unknown)]
    assert cleaned(found, 1, ROOT) == []


def test_messages_name_no_folder_of_this_machine() -> None:
    text = f"{ROOT}/tangled/agm/x.py:1 {sys.prefix}/lib/y.py {Path.home()}/z /tmp/ipykernel_12/345.py:3: W"
    [output] = cleaned([{"output_type": "stream", "name": "stderr", "text": text}], 1, ROOT)
    assert output["text"] == "tangled/agm/x.py:1 .venv/lib/y.py ~/z <cell>:3: W"


def test_a_notebook_that_is_too_large_names_its_largest_cell(tmp_path: Path, make_book: MakeBook) -> None:
    code = "from IPython.display import HTML\nHTML('<p>' + 'x' * 1_600_000)"
    book = make_book(tmp_path, {"a.qmd": "# A\n" + cell("1") + cell(code, "huge")})
    with pytest.raises(PressErrors, match=r"a.qmd:7: the notebook has 1.6 MB.*'huge' alone has 1.6 MB"):
        execute(book)
    assert not (tmp_path / "notebooks").exists()


def test_a_notebook_that_cannot_be_written_is_told(tmp_path: Path, make_book: MakeBook) -> None:
    book = make_book(tmp_path, {"a.qmd": "# A\n", "b.qmd": "# B\n" + cell("1")})
    (tmp_path / "notebooks").write_text("a file where the folder should be")
    with pytest.raises(PressErrors) as caught:
        execute(book)
    assert len(caught.value.errors) == 2 and "cannot be written" in str(caught.value)


def kernels_below(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and "ipykernel_launcher" in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture
def running(tmp_path: Path, make_book: MakeBook) -> Iterator[tuple[Book, subprocess.Popen[bytes]]]:
    """A run in a process of its own that finished one chapter and is at work on another."""
    files = {
        "quick.qmd": "# A\n" + cell("print('quick')"),
        "slow.qmd": "# B\n" + cell("import os, time, pathlib\nif not os.path.exists('go'): time.sleep(60)"),
    }
    book = make_book(tmp_path, files)
    command = [sys.executable, "-m", "press", "--root", str(tmp_path), "execute", "--jobs", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: (tmp_path / "notebooks/quick.ipynb").exists() and bool(kernels_below(tmp_path)))
    yield book, process
    process.kill()
    process.communicate()
    for kernel in kernels_below(tmp_path):
        kernel.kill()


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_keeps_what_it_finished(
    running: tuple[Book, subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    book, process = running
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    wait_for(lambda: not kernels_below(book.root), seconds=15)
    assert sorted(path.name for path in (book.root / "notebooks").iterdir()) == ["quick.ipynb"]
    (book.root / "go").touch()
    assert [path.name for path in execute(load(book.root))] == ["slow.ipynb"]


def test_notebooks_are_valid_and_stable_json(ran: Book) -> None:
    path = ran.root / "notebooks/figure.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    record = json.loads(path.read_text())["metadata"]["press"]
    assert set(record) == {"chapter", "inline", "key"} and record["chapter"] == "figure.qmd"
