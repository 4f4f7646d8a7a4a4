"""Runs that are killed, interrupted and shared end where one quiet run ends."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from agm.training import read_metrics
from agm.training.checkpoint import Checkpoint, CheckpointFolder

sys.path.insert(0, str(Path(__file__).parent))
import worker

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Children fork from a server that has imported everything and started no threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["worker"])
WALL = {"items_per_second"}


def last(folder: Path) -> Checkpoint:
    found, troubles = CheckpointFolder(folder).latest()
    assert found is not None and not troubles
    return found


def lines(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in WALL} for line in read_metrics(folder)]


def assert_same_bits(first: Checkpoint, second: Checkpoint) -> None:
    assert first.step == second.step and first.tensors.keys() == second.tensors.keys()
    for name, tensor in first.tensors.items():
        assert torch.equal(
            tensor.view(-1).view(torch.uint8), second.tensors[name].view(-1).view(torch.uint8)
        ), name


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (HERE, ROOT / "tangled"))))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quiet")
    child = CONTEXT.Process(target=worker.run, args=(folder,))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    return folder


@pytest.mark.parametrize(("seed", "slow_disk"), [(1, 0.0), (2, 0.02)], ids=["anywhere", "during saves"])
def test_killed_and_resumed_is_bit_identical(
    tmp_path: Path, quiet: Path, seed: int, slow_disk: float
) -> None:
    draw = random.Random(seed)
    kills = 0
    while True:
        child = CONTEXT.Process(target=worker.run, args=(tmp_path, worker.SETTINGS, 0.2, 0.002, slow_disk))
        child.start()
        before = CheckpointFolder(tmp_path).paths()[:1]
        deadline = time.monotonic() + 60
        if kills < 5:
            # Wait until the run gets on, then a random while.
            while CheckpointFolder(tmp_path).paths()[:1] == before and child.is_alive():
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(draw.uniform(0.0, 0.06))
            child.kill()
        child.join(60)
        if child.exitcode == 0:
            break
        assert child.exitcode == -9
        kills += 1
    assert kills >= 3
    assert_same_bits(last(quiet), last(tmp_path))
    assert lines(quiet) == lines(tmp_path)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("number", worker.INTERRUPTS)
def test_interrupted_saves_and_goes_on(tmp_path: Path, quiet: Path, number: int) -> None:
    child = CONTEXT.Process(target=worker.run_until_interrupted, args=(tmp_path, number))
    child.start()
    while not CheckpointFolder(tmp_path).paths():
        time.sleep(0.005)
    assert child.pid is not None
    os.kill(child.pid, number)
    child.join(60)
    assert child.exitcode == 7
    assert 0 < last(tmp_path).step < worker.SETTINGS["steps"]
    worker.run(tmp_path)
    assert_same_bits(last(quiet), last(tmp_path))
    assert lines(quiet) == lines(tmp_path)


def together(folder: Path, world: int, settings: dict[str, Any]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = [
        CONTEXT.Process(target=worker.run_as_rank, args=(rank, world, port, folder, settings))
        for rank in range(world)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0] * world


def test_two_processes_are_one(tmp_path: Path) -> None:
    settings = worker.SETTINGS | {"schedule": "constant"}
    worker.run(tmp_path / "one", settings, dropout=0.0)
    together(tmp_path / "two", 2, settings)
    # A run may go on with another number of processes.
    together(tmp_path / "both", 2, settings | {"steps": 20})
    worker.run(tmp_path / "both", settings, dropout=0.0)
    assert last(tmp_path / "two").state["processes"] == 2
    one = lines(tmp_path / "one")
    assert_close_lines(one, lines(tmp_path / "two"))
    # The part until step 20 ended with an evaluation of its own; the lines after it are the usual ones.
    assert_close_lines([line for line in one if line["step"] > 24], [
        line for line in lines(tmp_path / "both") if line["step"] > 24
    ])  # fmt: skip
    for folder in (tmp_path / "two", tmp_path / "both"):
        for name, tensor in last(tmp_path / "one").part("model").items():
            torch.testing.assert_close(last(folder).part("model")[name], tensor, rtol=1e-4, atol=1e-5)


def assert_close_lines(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys() and one["kind"] == other["kind"]
        for name in one.keys() - {"kind"}:
            assert other[name] == pytest.approx(one[name], rel=1e-4, abs=1e-6), (one["step"], name)


def test_torchrun_and_the_command_line(tmp_path: Path) -> None:
    command = [
        "-m",
        "agm",
        "train",
        "digits",
        "--preset",
        "smoke",
        "--accelerator",
        "cpu",
        "--quiet",
        "--out",
    ]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for arguments in ([*command, "one"], [*launch, *command, "two"]):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
    assert_close_lines(lines(tmp_path / "one"), lines(tmp_path / "two"))
    assert json.loads((tmp_path / "two/run.json").read_text())["description"]["recipe"] == "digits"


def test_ctrl_c_on_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agm", "train", "digits", "--steps", "50000", "--checkpoint-every", "20"]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "runs/digits/small"
    deadline = time.monotonic() + 60
    while not CheckpointFolder(folder).paths() and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert f"stopped after step {last(folder).step}" in errors and "Traceback" not in errors
