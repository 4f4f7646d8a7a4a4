"""The smallest honest generative model of images: logistic autoregression on 8 × 8 digits."""

from __future__ import annotations

# book/appendices/b-training.qmd § Recipes
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from agm.data import load_digits
from agm.recipes import Recipe, Samples
from agm.training import StepContext, TrainingConfig
from agm.training.noise import EVALUATE

PIXELS = 64


@dataclass(frozen=True)
class DigitsConfig:
    """Settings of the model and of its training."""

    training: TrainingConfig = field(default_factory=TrainingConfig)


class LogisticAutoregression(nn.Module):
    """Each pixel is a logistic regression on the pixels before it (Frey, Hinton & Dayan, 1996)."""

    mask: Tensor

    def __init__(self, pixels: int = PIXELS) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(pixels, pixels))
        self.bias = nn.Parameter(torch.zeros(pixels))
        self.register_buffer("mask", torch.ones(pixels, pixels).tril(-1), persistent=False)

    def forward(self, x: Float[Tensor, "batch pixels"]) -> Float[Tensor, "batch pixels"]:
        """Logit of every pixel given those before it."""
        return functional.linear(x, self.weight * self.mask, self.bias)


def negative_log_likelihood(
    model: LogisticAutoregression, x: Float[Tensor, "batch pixels"]
) -> Float[Tensor, " batch"]:
    """-log p(x) in nats, exactly: the chain rule over pixels.

    Args:
        model: of as many pixels.
        x: binary.

    Returns:
        One number per example.
    """
    return functional.binary_cross_entropy_with_logits(model(x), x, reduction="none").sum(1)


def binarise(
    images: Float[Tensor, "batch 1 height width"], uniform: Float[Tensor, "batch pixels"]
) -> Float[Tensor, "batch pixels"]:
    """Black-and-white images: a pixel is on with its grey value as probability."""
    return (uniform < images.flatten(1)).to(uniform)


# book/appendices/b-training.qmd § Recipes
class DigitsTask:
    """Maximum likelihood on digits that are binarised anew at every step.

    Args:
        model: what is trained.
        held_out: images to evaluate on.
    """

    metric = "nll"

    def __init__(self, model: LogisticAutoregression, held_out: Tensor) -> None:
        self.model: nn.Module = model
        self.held_out = held_out

    def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
        """Mean negative log-likelihood, in nats per image."""
        x = binarise(batch[0], context.uniform(PIXELS))
        assert isinstance(self.model, LogisticAutoregression)
        return {"loss": negative_log_likelihood(self.model, x).mean()}

    def evaluate(self, model: nn.Module, context: StepContext) -> dict[str, float]:
        """Negative log-likelihood of the held-out images, in nats per image."""
        assert isinstance(model, LogisticAutoregression)
        images = self.held_out.to(context.device)
        x = binarise(images, context.at(0, len(images)).uniform(PIXELS))
        return {"nll": float(negative_log_likelihood(model, x).mean())}


@cache
def _images(split: str) -> Tensor:
    return load_digits("train" if split == "train" else "test").images


def make_model(config: DigitsConfig) -> LogisticAutoregression:
    """A new model; all its weights are zero."""
    return LogisticAutoregression()


def build(config: DigitsConfig) -> tuple[DigitsTask, Tensor]:
    """The task and the images to train on."""
    return DigitsTask(make_model(config), _images("test")), _images("train")


def sample(model: nn.Module, config: DigitsConfig, count: int, seed: int) -> Samples:
    """Draw images pixel by pixel."""
    uniform = StepContext(count, seed=seed).uniform(PIXELS)
    x = torch.zeros(count, PIXELS)
    with torch.no_grad():
        for pixel in range(PIXELS):
            x[:, pixel] = (uniform[:, pixel] < torch.sigmoid(model(x)[:, pixel])).float()
    return Samples(images=x.view(-1, 1, 8, 8))


def evaluate(model: nn.Module, config: DigitsConfig) -> dict[str, float]:
    """Negative log-likelihood of the test images, in nats per image."""
    task = DigitsTask(make_model(config), _images("test"))
    with torch.no_grad():
        return task.evaluate(model, StepContext(0, seed=config.training.seed, stream=EVALUATE))


_TRAINING = TrainingConfig(
    steps=2000, batch_size=128, learning_rate=0.02, schedule="cosine", warmup=50, weight_decay=1.0,
    ema_decay=0.99, evaluate_every=500, checkpoint_every=500, log_every=20,
)  # fmt: skip

RECIPE = Recipe(
    name="digits",
    title="logistic autoregression on handwritten digits, 8 × 8",
    chapter="sec-training",
    modality="image",
    datasets=("digits",),
    presets={
        "smoke": DigitsConfig(
            TrainingConfig(steps=60, learning_rate=0.02, checkpoint_every=20, log_every=10)
        ),
        "small": DigitsConfig(_TRAINING),
    },
    model=make_model,
    build=build,
    sample=sample,
    evaluate=evaluate,
)
