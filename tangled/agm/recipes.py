"""Recipes: what the command line and the book's artifacts need to know of a model, and how to find it."""

from __future__ import annotations

# book/appendices/b-training.qmd § Recipes
import difflib
import importlib
import io
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from agm.training import Task, TrainingConfig, TrainingError
from agm.training.checkpoint import write_atomically
from agm.training.data import Examples

SUFFIX = "_recipe"
Modality = Literal["image", "text", "audio"]


class RecipeConfig(Protocol):
    """A frozen dataclass with the settings of a model and, in one field, those of its training."""

    @property
    def training(self) -> TrainingConfig:
        """Settings of the loop."""
        ...


C = TypeVar("C", bound=RecipeConfig)


@dataclass(frozen=True)
class Samples:
    """What a model made, in one modality.

    Args:
        images: `(n, channels, height, width)` in [0, 1], or None.
        texts: one string per sample, or None.
        waveforms: `(n, time)` in [-1, 1], or None.
        sample_rate: of the waveforms, in samples per second.
    """

    images: Tensor | None = None
    texts: tuple[str, ...] | None = None
    waveforms: Tensor | None = None
    sample_rate: int = 8000

    @property
    def suffix(self) -> str:
        """The kind of file that holds them: `.png`, `.txt` or `.wav`."""
        if self.images is not None:
            return ".png"
        return ".txt" if self.texts is not None else ".wav"

    def save(self, path: Path) -> None:
        """Write a grid of images, lines of text, or the sounds one after the other.

        Args:
            path: the file; its suffix must fit.

        Raises:
            TrainingError: if the suffix does not fit or the file cannot be written.
        """
        if path.suffix.lower() != self.suffix:
            raise TrainingError(f"{path}: samples of this model go into a {self.suffix} file")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{path}: cannot write ({error.strerror}): choose another place") from None
        content = io.BytesIO()
        if self.images is not None:
            from agm.plotting import image_grid

            content.write(image_grid(self.images)._repr_png_())
        elif self.texts is not None:
            content.write(("\n".join(self.texts) + "\n").encode())
        elif self.waveforms is not None:
            import soundfile

            pause = torch.zeros(len(self.waveforms), self.sample_rate // 4)
            sound = torch.cat([self.waveforms.detach().cpu().clamp(-1, 1), pause], 1).flatten()
            soundfile.write(content, sound.numpy(), self.sample_rate, format="WAV")
        write_atomically(path, content.getvalue())


@dataclass(frozen=True)
class Recipe(Generic[C]):
    """How to make, train, sample and judge a model.

    Args:
        name: on the command line and under `artifacts/`.
        title: one line that says what it is.
        chapter: label of the chapter or appendix, such as `sec-training`.
        modality: of its samples.
        datasets: names of the data sets it can be trained on; a setting `data` chooses among several.
        presets: "smoke" (seconds), "small" (minutes on two cores; the book's artifact) and "full".
        model: makes the model, its weights determined by the settings.
        build: makes the task, with a new model, and the data set to train on.
        sample: draws from the model: (model, settings, how many, seed).
        evaluate: metrics on held-out data: (model, settings).
        storage: type in which the artifact keeps its weights.
    """

    name: str
    title: str
    chapter: str
    modality: Modality
    datasets: tuple[str, ...]
    presets: Mapping[str, C]
    model: Callable[[C], nn.Module]
    build: Callable[[C], tuple[Task, Examples]]
    sample: Callable[[nn.Module, C, int, int], Samples]
    evaluate: Callable[[nn.Module, C], Mapping[str, float]]
    storage: Literal["float32", "float16", "bfloat16"] = "float32"

    def preset(self, name: str) -> C:
        """The settings of a preset.

        Args:
            name: one of `presets`.

        Raises:
            TrainingError: if there is none of that name; names the nearest.
        """
        if name not in self.presets:
            raise TrainingError(unknown("preset", name, self.presets))
        return self.presets[name]


# book/appendices/b-training.qmd § Recipes
@cache
def find_recipes() -> dict[str, Recipe[Any]]:
    """All recipes of the package: the modules `…_recipe` define them as `RECIPE`.

    Returns:
        Name to recipe, sorted.

    Raises:
        TrainingError: if such a module cannot be imported, has no recipe, or two have the same name.
    """
    import agm

    found: dict[str, Recipe[Any]] = {}
    for module in sorted(info.name for info in pkgutil.walk_packages(agm.__path__, "agm.", _ignore)):
        if not module.endswith(SUFFIX):
            continue
        try:
            recipe = importlib.import_module(module).RECIPE
        except Exception as error:
            raise TrainingError(f"{module}: cannot be used as a recipe ({error}): mend its module") from error
        if recipe.name in found:
            raise TrainingError(f"{module}: a second recipe named {recipe.name!r}: rename one")
        found[recipe.name] = recipe
    return dict(sorted(found.items()))


def get_recipe(name: str) -> Recipe[Any]:
    """One recipe.

    Args:
        name: of the model.

    Raises:
        TrainingError: if there is none of that name; names the nearest.
    """
    recipes = find_recipes()
    if name not in recipes:
        raise TrainingError(unknown("model", name, recipes))
    return recipes[name]


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that does not exist, with the nearest that do.

    Args:
        what: kind of thing, such as "model".
        name: what was asked for.
        known: what exists.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names) or 'none'}"
    return f"unknown {what} {name!r}: {hint}"


def _ignore(name: str) -> None:
    """A package that cannot be imported, such as one that needs JAX, holds no recipe for us."""
