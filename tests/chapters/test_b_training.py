"""Appendix B: schedules, averages, noise, checkpoints, and what happens when something is wrong."""

from __future__ import annotations

# book/appendices/b-training.qmd § Tests
import errno
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from agm import artifacts
from agm.__main__ import main
from agm.provenance import code_hashes, training_cost
from agm.recipes import Samples, get_recipe
from agm.training import (
    CheckpointError,
    MismatchError,
    NonFiniteError,
    StepContext,
    TrainingConfig,
    TrainingError,
    learning_rate_at,
    load_model,
    read_metrics,
    seeded,
    train,
)
from agm.training.average import AveragedWeights, clip_factor, clip_gradients
from agm.training.checkpoint import CheckpointFolder, read_checkpoint, write_checkpoint
from agm.training.noise import DataOrder, epoch_order
from torch import Tensor, nn

EXACT = TrainingConfig(
    steps=12, batch_size=8, learning_rate=0.1, optimizer="sgd", betas=(0.0, 0.999), precision="64-true",
    accelerator="cpu", checkpoint_every=4, log_every=1,
)  # fmt: skip


class Parabola:
    """Half the squared distance of one weight from the data: every iterate is known."""

    def __init__(self, start: float = 1.0, shape: tuple[int, ...] = (1,)) -> None:
        self.model: nn.Module = nn.Module()
        self.model.register_parameter("weight", nn.Parameter(torch.full(shape, start)))

    def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
        weight = self.model.get_parameter("weight")
        return {"loss": 0.5 * ((weight - batch[0].view(-1, 1)) ** 2).mean()}


def final(task: Any, data: Any, config: TrainingConfig, folder: Path, **options: Any) -> float:
    train(task, data, config, folder=folder, progress=False, **options)
    return task.model.get_parameter("weight").item()


def test_gradient_descent_on_a_parabola(tmp_path: Path) -> None:
    # With all data at zero the weight shrinks by 1 - rate at every step.
    weight = final(Parabola(), torch.zeros(5), EXACT, tmp_path)
    assert weight == pytest.approx(0.9**12, rel=1e-12)
    losses = [line["loss"] for line in read_metrics(tmp_path)]
    assert losses == pytest.approx([0.5 * 0.81**step for step in range(12)], rel=1e-12)


def test_momentum_decay_and_schedule_are_those_of_the_formulas(tmp_path: Path) -> None:
    config = replace(EXACT, betas=(0.5, 0.999), schedule="linear", warmup=3, final_fraction=0.2)
    position, velocity = 1.0, 0.0
    for step in range(12):
        velocity = 0.5 * velocity + position
        position -= learning_rate_at(step, config) * velocity
    assert final(Parabola(), torch.zeros(5), config, tmp_path) == pytest.approx(position, rel=1e-12)


def test_schedules_at_their_ends() -> None:
    config = TrainingConfig(steps=110, warmup=10, learning_rate=2.0, schedule="cosine", final_fraction=0.1)
    assert [learning_rate_at(step, config) for step in (0, 9, 10)] == pytest.approx([0.2, 2.0, 2.0])
    assert learning_rate_at(60, config) == pytest.approx(2.0 * 0.55)  # half way: the mean of the ends
    assert learning_rate_at(110, config) == pytest.approx(0.2)
    linear = replace(config, schedule="linear")
    assert [learning_rate_at(step, linear) for step in (10, 60, 110)] == pytest.approx([2.0, 1.1, 0.2])
    assert learning_rate_at(109, replace(config, schedule="constant")) == 2.0


def test_average_of_weights_is_the_weighted_mean(tmp_path: Path) -> None:
    decay, points = 0.8, [float(k * k - 3) for k in range(1, 8)]
    model = Parabola().model.double()
    average = AveragedWeights(model, decay)
    for step, point in enumerate(points, start=1):
        model.get_parameter("weight").data.fill_(point)
        average.update(step)
        weights = np.array([decay ** (step - k) for k in range(1, step + 1)])
        expected = float(weights @ np.array(points[:step]) / weights.sum())
        assert average.state()["weight"].item() == pytest.approx(expected, rel=1e-12)
    with average.applied():
        assert model.get_parameter("weight").item() == average.state()["weight"].item()
    assert model.get_parameter("weight").item() == points[-1]
    # The loop hands the average out, and stores both.
    iterates = np.array([0.9**k for k in range(1, 13)])
    weights = 0.5 ** np.arange(11, -1, -1.0)
    weight = final(Parabola(), torch.zeros(5), replace(EXACT, ema_decay=0.5), tmp_path)
    assert weight == pytest.approx(weights @ iterates / weights.sum(), rel=1e-12)
    raw = Parabola().model.double()
    load_model(raw, tmp_path, averaged=False)
    assert raw.get_parameter("weight").item() == pytest.approx(0.9**12, rel=1e-12)


def test_clipping(tmp_path: Path) -> None:
    gradient = torch.tensor([3.0, -4.0])
    norms = torch.tensor([5.0, 0.0, 0.5])
    torch.testing.assert_close(clip_factor(norms, 1.0), torch.tensor([0.2, 1.0, 1.0]))
    parameters = [torch.zeros(1, requires_grad=True) for _ in range(3)]
    parameters[0].grad, parameters[1].grad = gradient[:1].clone(), gradient[1:].clone()
    assert clip_gradients(parameters, 2.5).item() == pytest.approx(5.0)
    assert [parameters[k].grad.item() for k in (0, 1)] == pytest.approx([1.5, -2.0])
    # Far from the optimum every step is rate * clip long.
    config = replace(EXACT, gradient_clip=0.25)
    weight = final(Parabola(10.0), torch.zeros(5), config, tmp_path)
    assert weight == pytest.approx(10.0 - 12 * 0.1 * 0.25, rel=1e-12)


def test_accumulated_parts_are_the_whole_batch(tmp_path: Path) -> None:
    class Noisy(Parabola):
        def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
            assert context.rows == len(batch[0]) and context.normal().dtype == torch.float64
            return super().loss((batch[0] + context.normal(),), context)

    data = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    config = replace(EXACT, batch_size=48)
    whole = final(Noisy(), data, config, tmp_path / "1")
    for parts in (2, 3, 48):
        cut = final(Noisy(), data, replace(config, accumulate=parts), tmp_path / str(parts))
        assert cut == pytest.approx(whole, rel=1e-12)


def test_noise_depends_on_nothing_but_its_place() -> None:
    whole = StepContext(100, step=3, seed=1)
    first, second, third = whole.normal(2, 3), whole.uniform(), whole.integers(7, 2)
    for start, end in ((0, 100), (0, 10), (31, 33), (64, 65), (90, 100)):
        part = StepContext(range(start, end), step=3, seed=1)
        assert torch.equal(part.normal(2, 3), first[start:end])
        assert torch.equal(part.uniform(), second[start:end])
        assert torch.equal(part.integers(7, 2), third[start:end])
        assert torch.equal(whole.at(start, end).normal(2, 3), first[start:end])
    for other in (StepContext(100, step=4, seed=1), StepContext(100, step=3, seed=2)):
        assert not torch.equal(other.normal(2, 3), first)
    many = StepContext(4000).normal(25)
    assert abs(many.mean().item()) < 4 / math.sqrt(1e5) and abs(many.var().item() - 1) < 0.02
    assert len(many.unique()) > 0.99 * many.numel()  # no block repeats another
    assert second.min() >= 0 and second.max() < 1 and set(third.unique().tolist()) == set(range(7))


def test_data_order_visits_all_examples_equally_often() -> None:
    order = DataOrder(seed=4, size=10)
    stream = np.concatenate([order.slice(7 * k, 7 * k + 7) for k in range(10)])
    for epoch in range(7):
        assert sorted(stream[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert not np.array_equal(epoch_order(4, 0, 10), epoch_order(4, 1, 10))
    assert np.array_equal(order.slice(0, 35), stream[:35])  # also when a batch is longer than an epoch


def test_global_generators_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)
    final(Parabola(), torch.zeros(5), EXACT, tmp_path)
    with seeded(1):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(3), expected)
    with seeded(1):
        assert torch.equal(torch.rand(2), inside)


def test_stopped_and_resumed_is_the_same_run(tmp_path: Path) -> None:
    class Stops(Parabola):
        def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
            if context.step == 7 and not (tmp_path / "passed").exists():
                (tmp_path / "passed").touch()
                raise RuntimeError("DefaultCPUAllocator: not enough memory")
            return super().loss(batch, context)

    data = torch.randn(11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    config = replace(EXACT, schedule="cosine", betas=(0.9, 0.999), log_every=5, ema_decay=0.7)
    quiet = final(Parabola(), data, config, tmp_path / "quiet")
    with pytest.raises(TrainingError, match=r"8 examples at a time: set accumulate = 2 .*4 examples"):
        final(Stops(), data, config, tmp_path / "run")
    assert [path.name for path in CheckpointFolder(tmp_path / "run").paths()] == ["step-00000004.safetensors"]
    assert final(Stops(), data, config, tmp_path / "run") == quiet
    for folder in ("quiet", "run"):
        assert [line["step"] for line in read_metrics(tmp_path / folder)] == [5, 10, 12]
    assert final(Parabola(), data, config, tmp_path / "run") == quiet  # finished: nothing left to do


class Evaluates(Parabola):
    metric = "distance"

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = values

    def evaluate(self, model: nn.Module, context: StepContext) -> dict[str, float]:
        assert not model.training
        return {"distance": self.values[context.step // 2 - 1]}


def test_last_and_best_checkpoints_stay(tmp_path: Path) -> None:
    task = Evaluates([5.0, 1.0, math.nan, 2.0, 1.0, 3.0])
    config = replace(EXACT, evaluate_every=2, checkpoint_every=2, keep=3)
    result = train(task, torch.zeros(5), config, folder=tmp_path, progress=False)
    assert result.best == {"step": 4, "metric": "distance", "value": 1.0}
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.safetensors", *(f"step-{step:08d}.safetensors" for step in (8, 10, 12))]
    best = Parabola().model.double()
    load_model(best, tmp_path)
    assert best.get_parameter("weight").item() == pytest.approx(0.9**4)
    assert result.curve("distance", "evaluate")[0] == [2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_number_that_is_none_stops_the_run(tmp_path: Path, broken: str) -> None:
    class Breaks(Parabola):
        def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
            losses = dict(super().loss(batch, context))
            if context.step == 6:
                weight = self.model.get_parameter("weight")
                root = (weight - weight.detach()).sqrt().sum()  # zero, with an infinite slope
                losses["loss"] = losses["loss"] * math.nan if broken == "loss" else losses["loss"] + root
            return losses

    culprit = "the value 'loss'" if broken == "loss" else "the gradient of weight"
    with pytest.raises(
        NonFiniteError, match=f"step 6: {culprit} is infinite.*learning_rate.*00000004"
    ) as caught:
        final(Breaks(), torch.zeros(5), EXACT, tmp_path)
    assert caught.value.step == 6 and caught.value.tensor == culprit
    saved, _ = CheckpointFolder(tmp_path).latest()
    assert saved is not None and saved.step == 4 and bool(saved.tensors["model/weight"].isfinite())


def test_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = final(Parabola(), torch.zeros(5), replace(EXACT, steps=4), tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"No space left.*free some space.*intact"):
            final(Parabola(), torch.zeros(5), EXACT, tmp_path)
    # The same with a real limit, that of the size of a file.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = Parabola(shape=(1, 5000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"step-00000004.*File too large.*free some space"):
            train(large, torch.zeros(5), EXACT, folder=tmp_path / "large", progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.rglob("*.part"))
    saved, _ = CheckpointFolder(tmp_path).latest()
    assert saved is not None and saved.tensors["model/weight"].item() == before
    assert final(Parabola(), torch.zeros(5), EXACT, tmp_path) == pytest.approx(0.9**12, rel=1e-12)


def test_a_run_goes_on_only_as_itself(tmp_path: Path) -> None:
    data, config = torch.zeros(5), replace(EXACT, schedule="cosine")
    final(Parabola(), data, config, tmp_path, description={"model": {"width": 3}})

    def again(**changes: Any) -> float:
        examples = changes.pop("data", data)
        description = {"model": {"width": changes.pop("width", 3)}}
        return final(Parabola(), examples, replace(config, **changes), tmp_path, description=description)

    again(keep=1, log_every=3, evaluate_every=4)  # these may change
    for changes, name in (
        ({"learning_rate": 0.2}, "learning_rate was 0.1, is now 0.2"),
        ({"batch_size": 4}, "batch_size was 8, is now 4"),
        ({"steps": 13}, "steps was 12, is now 13"),
        ({"width": 4}, "model.width was 3, is now 4"),
        ({"data": torch.ones(5)}, "the data set has changed since step 12"),
    ):
        with pytest.raises(MismatchError, match=name):
            again(**changes)
    with pytest.raises(CheckpointError, match=r"weight has shape \(1,\), the model wants \(2,\)"):
        description = {"model": {"width": 3}}
        train(Parabola(shape=(2,)), data, config, folder=tmp_path, progress=False, description=description)
    with pytest.raises(CheckpointError, match="other is missing; weight is not in the model"):
        model = nn.Module()
        model.register_parameter("other", nn.Parameter(torch.zeros(1)))
        load_model(model, tmp_path)


def test_damaged_and_foreign_checkpoints(tmp_path: Path) -> None:
    final(Parabola(), torch.zeros(5), EXACT, tmp_path)
    newest, older = CheckpointFolder(tmp_path).paths()
    whole = newest.read_bytes()
    for damage in (whole[:-5], whole[:-1] + bytes([whole[-1] ^ 1]), b"", b"PK\x03\x04 a zip"):
        newest.write_bytes(damage)
        with pytest.raises(CheckpointError, match=f"{newest.name}: (damaged|the content)"):
            load_model(Parabola().model, newest)
        # The loop passes over it and makes it anew from the one before.
        assert final(Parabola(), torch.zeros(5), EXACT, tmp_path) == pytest.approx(0.9**12, rel=1e-12)
        assert newest.read_bytes()[-8:] == whole[-8:]
    foreign = safetensors.torch.save({"weight": torch.zeros(1)})
    for path in (newest, older):
        path.write_bytes(foreign)
    with pytest.raises(CheckpointError, match=r"none of 2 .*start afresh.*no checkpoint of a training run"):
        final(Parabola(), torch.zeros(5), EXACT, tmp_path)
    assert newest.read_bytes() == foreign
    with pytest.raises(CheckpointError, match="no checkpoint in this folder"):
        load_model(Parabola().model, tmp_path.parent)


class Items:
    """A map-style data set."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Tensor:
        return self.values[index]


def test_map_style_data_sets(tmp_path: Path) -> None:
    data = torch.randn(11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same = [final(Parabola(), d, EXACT, tmp_path / str(n)) for n, d in enumerate((data, [data], Items(data)))]
    assert same[0] == same[1] == same[2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.zeros(0, 3), "no examples"),
        (Items(torch.zeros(0)), "no examples"),
        ((torch.zeros(3), torch.zeros(4)), "same number of rows"),
        (torch.tensor([0.0, math.nan, math.inf]), "tensor 0 .* first in example 1: remove or mend 2 of 3"),
        (Items(torch.full((3,), math.nan)), "example . has a value"),
        (7, "a data set of type int"),
    ],
)
def test_unusable_data(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        final(Parabola(), data, EXACT, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0: expected at least 1"),
        ({"learning_rate": math.nan}, "learning_rate = nan"),
        ({"seed": 2**64}, "seed = 18446744073709551616: expected 0 or more, and less than"),
        ({"ema_decay": 1.0}, "ema_decay = 1.0"),
        ({"accumulate": 3}, "a divisor of batch_size = 8"),
        ({"warmup": 13}, "at most steps = 12"),
    ],
)
def test_unusable_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        replace(EXACT, **change)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (lambda w: {"value": w.mean()}, "returned value: 'loss' is missing"),
        (lambda w: {"loss": w}, r"'loss' has shape \(1,\)"),
        (lambda w: {"loss": w.mean().detach()}, "was it detached"),
    ],
)
def test_unusable_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: Callable[[Tensor], Any], message: str
) -> None:
    task = Parabola()
    monkeypatch.setattr(task, "loss", lambda batch, context: losses(task.model.get_parameter("weight")))
    with pytest.raises(TrainingError, match=message):
        final(task, torch.zeros(5), EXACT, tmp_path)


def test_one_run_per_folder(tmp_path: Path) -> None:
    class Nested(Parabola):
        def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
            with pytest.raises(TrainingError, match="another run is at work here"):
                final(Parabola(), torch.zeros(5), EXACT, tmp_path)
            return super().loss(batch, context)

    final(Nested(), torch.zeros(5), replace(EXACT, steps=1), tmp_path)


def test_tensorboard_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if it were not installed
    with pytest.raises(TrainingError, match="pip install tensorboard"):
        final(Parabola(), torch.zeros(5), replace(EXACT, tensorboard=True), tmp_path)


def test_tensorboard_is_told_what_the_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, dict[str, float]] = {}

    class Writer:
        """A stand-in with the two methods that are used, and the promise to forget what is made again."""

        def __init__(self, folder: str, purge_step: int) -> None:
            for step in [step for step in told if step >= purge_step]:
                del told[step]

        def add_scalar(self, name: str, value: float, step: int) -> None:
            assert name not in told.setdefault(step, {})
            told[step][name] = value

        def close(self) -> None:
            told.setdefault(-1, {})

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    config = replace(EXACT, tensorboard=True, evaluate_every=6)
    for steps in (6, 12):
        now = replace(config, steps=steps)
        train(Evaluates([3.0] * 6), torch.zeros(5), now, folder=tmp_path, progress=False)
    assert told.pop(-1) == {}  # closed
    expected: dict[int, dict[str, float]] = {}
    for line in read_metrics(tmp_path):
        values = {f"{line['kind']}/{name}": value for name, value in line.items() if isinstance(value, float)}
        expected.setdefault(line["step"], {}).update(values)
    assert told == expected and sorted(told) == list(range(1, 13))


def test_decay_falls_on_matrices_only(tmp_path: Path) -> None:
    class Still(Parabola):
        def __init__(self) -> None:
            super().__init__()
            self.model.register_parameter("matrix", nn.Parameter(torch.ones(1, 1)))

        def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
            return {"loss": 0.0 * sum(p.sum() for p in self.model.parameters())}

    task = Still()
    config = replace(EXACT, optimizer="adamw", weight_decay=0.5)
    assert final(task, torch.zeros(5), config, tmp_path) == 1.0
    assert task.model.get_parameter("matrix").item() == pytest.approx(0.95**12, rel=1e-12)


def test_bfloat16_only_where_the_hardware_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agm.training import surroundings

    config = replace(EXACT, precision="bf16-mixed")
    with monkeypatch.context() as patch:
        patch.setattr(surroundings, "has_bfloat16", lambda device: False)
        with pytest.raises(TrainingError, match="no bfloat16"):
            final(Parabola(), torch.zeros(5), config, tmp_path)
    if surroundings.has_bfloat16(torch.device("cpu")):
        weight = final(Parabola(), torch.zeros(5), config, tmp_path)
        assert weight == pytest.approx(0.9**12, rel=0.02)


def test_metrics_lines_are_whole(tmp_path: Path) -> None:
    final(Parabola(), torch.zeros(5), EXACT, tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "train", "step": 13, "lo')  # what a killed process may leave
    assert [line["step"] for line in read_metrics(tmp_path)] == list(range(1, 13))
    final(Parabola(), torch.zeros(5), replace(EXACT, steps=14), tmp_path)
    assert [line["step"] for line in read_metrics(tmp_path)] == list(range(1, 15))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGM_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path


def test_digits_beat_independent_pixels(tmp_path: Path) -> None:
    recipe = get_recipe("digits")
    config = recipe.preset("smoke")
    task, images = recipe.build(config)
    on = images.flatten(1).mean(0).clamp(1e-3, 1 - 1e-3)
    held_out = task.held_out.flatten(1)
    independent = -(held_out * on.log() + (1 - held_out) * (1 - on).log()).sum(1).mean().item()
    context = StepContext(0)
    with torch.no_grad():
        assert task.evaluate(task.model, context)["nll"] == pytest.approx(64 * math.log(2), rel=1e-5)
    for pixel in range(64):  # the model of a pixel must not see it, nor those after it
        x = torch.rand(64, requires_grad=True)
        task.model.weight.data.normal_()
        gradient = torch.autograd.grad(task.model(x[None])[0, pixel], x)[0]
        assert not gradient[pixel:].any()
    task.model.weight.data.zero_()
    result = train(task, images, config.training, folder=tmp_path, progress=False)
    assert result.evaluation["nll"] < independent - 1.0


def test_command_line(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def agm(*arguments: str) -> tuple[int, str]:
        status = main(arguments)
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return status, output.out + output.err

    assert agm("train", "digits", "--preset", "smoke", "--steps", "30", "--quiet")[0] == 0
    status, text = agm("train", "digits", "--preset", "smoke", "--learning-rate", "0.3")
    assert status == 1 and "learning_rate was 0.02, is now 0.3" in text
    assert agm("train", "digits", "--preset", "smoke", "--learning-rate", "0.3", "--fresh", "--quiet")[0] == 0
    assert agm("sample", "digits", "--preset", "smoke", "--count", "9", "--out", "a/b.png")[0] == 0
    assert (workplace / "a/b.png").read_bytes().startswith(b"\x89PNG")
    assert agm("evaluate", "digits", "--from", "runs/digits/smoke")[1].startswith("nll ")
    assert agm("sample", "digits", "--help")[1].endswith("sample digits --from runs/mine --out grid.png\n")
    assert "artifact none" in agm("list")[1]
    for arguments, expected, message in (
        (("train", "digts"), 2, "did you mean digits?"),
        (("train", "digits", "--preset", "smol"), 2, "did you mean smoke or small?"),
        (("train", "digits", "--data", "mnis"), 2, "did you mean mnist or emoji? (digits takes digits)"),
        (("train", "digits", "--data", "mnist"), 2, "not made for mnist"),
        (("train", "digits", "--steps", "many"), 2, "base 10: 'many'; see: agm train digits --help"),
        (("train", "digits", "--stepss", "9"), 2, "--stepss, 9: did you mean --steps?; see: agm train"),
        (("train", "digits", "--seed", "-1"), 2, "seed = -1: expected 0 or more"),
        (("train", "digits", "--ema-decay", "2"), 2, "ema_decay = 2.0"),
        (("train",), 2, "which model"),
        (("sample", "digits", "--out", "x.wav", "--preset", "smoke"), 2, "go into a .png file"),
        (("sample", "digits", "--out", "x.png", "--seed", "-1"), 2, "--seed -1: expected 0 or more"),
        (("sample", "digits", "--out", "x.png", "--count", "0"), 2, "--count 0: expected at least 1"),
        (("sample", "digits", "--out", "x.png", "--preset", "small"), 2, "agm train digits --preset small"),
        (("evaluate", "digits", "--preset", "smok"), 2, "did you mean smoke or small?"),
        (("evaluate", "digits", "--from", "runs/digits/smok"), 2, "did you mean runs/digits/smoke?"),
        (("evaluate", "vae-mnist", "--from", "runs/digits/smoke"), 1, "checkpoint of digits, not of vae-"),
        (("train", "vae-mnist", "--out", "runs/digits/smoke"), 1, "a run of digits, not of vae-mnist"),
        (("evaluate", "digits", "--from", "a/b.png"), 1, "name a checkpoint of a training run"),
        (("verify", "eq-no-such-thing"), 1, "unknown equation"),
        (("frobnicate",), 2, "invalid choice"),
    ):
        status, text = agm(*arguments)
        assert (status, message in text) == (expected, True), (arguments, text)
        assert text.startswith(("error: ", "usage: ")), (arguments, text)
        assert text.count("\n") == 1 or text.startswith("usage: "), (arguments, text)
    assert agm("train", "digits", "--help")[0] == 0


def test_the_newest_finished_run_is_taken(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluated(*arguments: str) -> tuple[str, str]:
        status = main(["evaluate", "digits", *arguments])
        output = capsys.readouterr()
        assert status == (1 if output.err.startswith("error") else 0), output.err
        return output.out.rpartition("\nof ")[2].strip(), output.err

    def trained(folder: str, steps: int = 20) -> None:
        settings = ["--preset", "smoke", "--steps", str(steps), "--out", folder, "--quiet"]
        assert main(["train", "digits", *settings]) == 0
        assert f"{folder}: {steps} steps in" in capsys.readouterr().out

    message = evaluated()[1]
    assert "no finished run below runs/, `agm train digits` makes one" in message
    assert message.endswith("artifacts/digits does not exist; run: make train MODEL=digits\n")
    artifacts.main(["digits", "--preset", "smoke"])  # in runs/digits/smoke
    capsys.readouterr()
    trained("runs/deep/er/mine")
    found, told = evaluated()
    assert found == "runs/deep/er/mine/checkpoints/best.safetensors"
    assert told.startswith("digits: taking runs/deep/er/mine, the newest finished run of 2; --from takes")
    assert evaluated("--preset", "smoke") == ("runs/digits/smoke/checkpoints/best.safetensors", "")
    assert evaluated("--from", "runs/digits/smoke")[1] == ""
    # Unfinished runs, runs of other models and foreign files are not taken.
    for checkpoint in (workplace / "runs").rglob("*0.safetensors"):
        if "digits" in checkpoint.parts:
            checkpoint.unlink()
    path = workplace / "runs/deep/er/mine/run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"config": {**record["config"], "steps": 21}}))
    (workplace / "runs/foreign").mkdir()
    (workplace / "runs/foreign/run.json").write_text("[1]")
    found, told = evaluated()
    assert found == "artifacts/digits" and "(runs/deep/er/mine is not finished;" in told
    path.write_text(json.dumps(record | {"description": {"recipe": "vae-mnist"}}))
    assert evaluated()[1] == "digits: no finished run below runs/: taking the model of the book\n"


def test_samples_are_written_whole_or_not_at_all(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = torch.sin(torch.arange(800) / 5).repeat(2, 1)
    for name, samples, start in (
        ("a.png", Samples(images=torch.rand(3, 1, 4, 4)), b"\x89PNG"),
        ("a.txt", Samples(texts=("to be", "or not — to be")), "to be\nor not — to be\n".encode()),
        ("a.wav", Samples(waveforms=sound), b"RIFF"),
    ):
        path = workplace / "new" / name
        samples.save(path)
        before = path.read_bytes()
        assert before.startswith(start)

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(TrainingError, match=r"cannot write.*free some space"):
                samples.save(path)
        assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1
        path.unlink()
    (workplace / "file").touch()
    with pytest.raises(TrainingError, match="choose another place"):
        Samples(texts=("a",)).save(workplace / "file/a.txt")


def test_memory_that_samples_lack_is_said(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["train", "digits", "--preset", "smoke", "--steps", "1", "--quiet"]) == 0
    monkeypatch.setattr("agm.digits_recipe.PIXELS", 10**15)
    assert main(["sample", "digits", "--out", "x.png"]) == 1
    assert "out of memory with --count 64: draw fewer" in capsys.readouterr().err


def test_interrupted_while_the_libraries_load(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupts:
        def find_spec(self, name: str, *rest: Any) -> None:
            if name == "agm.cli":
                raise KeyboardInterrupt

    loaded = sys.modules.pop("agm.cli", None)
    sys.meta_path.insert(0, Interrupts())  # type: ignore[arg-type]
    try:
        assert main(["list"]) == 130
    finally:
        del sys.meta_path[0]
        if loaded is not None:
            sys.modules["agm.cli"] = loaded
    assert capsys.readouterr().err == "interrupted\n"


def test_cost_is_told_in_both_clocks_where_both_are_known(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training_cost({"seconds": 901.2, "cpu_seconds": 65.04}) == "15.0 min, CPU time 65.0 s"
    assert training_cost({"seconds": 3.21}) == "3.2 s, CPU time not recorded"
    assert artifacts.main(["digits", "--preset", "smoke"]) == 0
    assert "CPU time" in capsys.readouterr().out
    path = workplace / "artifacts/digits/metrics.json"
    record = json.loads(path.read_text())
    assert isinstance(record["cpu_seconds"], float) and 0 <= record["cpu_seconds"] < 60
    del record["cpu_seconds"]  # as earlier versions wrote it
    path.write_text(json.dumps(record))
    assert artifacts.load_artifact("digits").metrics == record["metrics"]
    assert artifacts.main(["digits", "--preset", "smoke"]) == 0 and main(["list"]) == 0
    assert capsys.readouterr().out.count("CPU time not recorded") == 2


def test_processor_time_is_that_of_the_steps(tmp_path: Path) -> None:
    class Works(Parabola):
        def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
            if context.step < 4:
                time.sleep(0.05)
            else:
                end = time.process_time() + 0.02
                while time.process_time() < end:
                    pass
            return super().loss(batch, context)

    def run(steps: int) -> Any:
        config = replace(EXACT, steps=steps, keep=9)
        return train(Works(), torch.zeros(5), config, folder=tmp_path, progress=False)

    assert 0.0 < run(4).cpu_seconds < 0.15 < 0.2 <= run(4).seconds
    assert 0.16 <= run(12).cpu_seconds < 0.16 + 0.3  # over both parts of the run
    path = tmp_path / "checkpoints/step-00000012.safetensors"
    checkpoint = read_checkpoint(path)
    state = {name: value for name, value in checkpoint.state.items() if name != "cpu_seconds"}
    write_checkpoint(path, replace(checkpoint, state=state))  # as earlier versions wrote it
    assert run(13).cpu_seconds is None


def test_a_replay_accepts_the_same_losses_and_nothing_else(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts.main(["digits", "--preset", "smoke"])
    path = workplace / "artifacts/digits/metrics.json"
    record = json.loads(path.read_text())
    old = {**record["code"], "agm.digits_recipe": "0"}
    path.write_text(json.dumps(record | {"code": old}))
    assert artifacts.main(["digits", "--replay"]) == 0
    replayed = artifacts.load_artifact("digits").provenance
    assert (replayed["code"], replayed["trained_by"]) == (record["code"], old)
    assert replayed["metrics"] == record["metrics"] and 0 < replayed["replayed"] <= record["steps"]
    first = record["curve"][0]
    for change, message in (
        ({"curve": [first | {"loss": math.nextafter(first["loss"], math.inf)}]}, "loss of step"),
        ({"data": "0"}, "the data have changed"),
        ({"loop": 0}, "settings or loop have changed"),
        ({"curve": []}, "no loss recorded"),
    ):
        path.write_text(json.dumps(record | {"code": old} | change))
        assert artifacts.main(["digits", "--replay"]) == 1
        assert message in capsys.readouterr().err
        assert json.loads(path.read_text())["code"] == old


def test_artifacts_are_refused_when_stale(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert artifacts.main(["digits", "--preset", "smoke"]) == 0
    assert "made in" in capsys.readouterr().out
    assert artifacts.main(["digits", "--preset", "smoke"]) == 0
    assert "fresh" in capsys.readouterr().out
    artifact = artifacts.load_artifact("digits")
    recipe = get_recipe("digits")
    with torch.no_grad():
        assert artifact.metrics == recipe.evaluate(artifact.model, artifact.config)
    path = workplace / "artifacts/digits/metrics.json"
    record = json.loads(path.read_text())
    for change, message in (
        ({"code": {**record["code"], "agm.digits_recipe": "0"}}, "agm.digits_recipe changed"),
        (
            {"config": {"training": {**record["config"]["training"], "seed": 5}}},
            "training.seed was 5, is now 0",
        ),
        ({"loop": 0}, "the training loop is version"),
        ({"weights": "0"}, "do not belong together"),
        ({"preset": "gone"}, "unknown preset"),
    ):
        path.write_text(json.dumps(record | change))
        with pytest.raises(artifacts.ArtifactError, match=f"{message}.*make train MODEL=digits"):
            artifacts.load_artifact("digits")
    path.write_text(json.dumps(record | {"data": "0"}))
    assert artifacts.main(["digits", "--preset", "smoke"]) == 0  # from the finished run, at no cost
    assert json.loads(path.read_text())["data"] == record["data"]
    with pytest.raises(artifacts.ArtifactError, match="are allowed: choose a smaller preset"):
        monkeypatch.setattr(artifacts, "LARGEST", 100)
        task, images = recipe.build(recipe.preset("smoke"))
        config = recipe.preset("smoke").training
        result = train(task, images, replace(config, steps=1), folder=workplace / "x", progress=False)
        artifacts.save_artifact(recipe, "smoke", result)


def test_code_hash_ignores_prose() -> None:
    hashes = code_hashes(get_recipe("digits"))
    assert list(hashes) == ["agm.digits_recipe"]
    from agm.provenance import code_digest

    assert code_digest('"""A."""\n# b\ndef f():\n    """C."""\n    return 1') == code_digest(
        "def f(): return 1"
    )
    assert code_digest("def f(): return 1") != code_digest("def f(): return 2")
