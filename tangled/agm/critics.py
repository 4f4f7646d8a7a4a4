"""Critics: networks that maximise a variational bound, and held-out estimates of divergences with them."""

from __future__ import annotations

# book/01-foundations/03-variational-divergence-minimisation.qmd § Critics and their training
import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agm.convex_generators import ConvexGenerator
from agm.vdm import Bound, OutputActivation, get_activation, logit_bound


class Critic(nn.Module):
    """A multilayer perceptron with one logit per example; inputs are flattened."""

    def __init__(self, in_features: int, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        sizes = [in_features, *hidden]
        if min(sizes) < 1:
            raise ValueError(f"layers need at least one unit, got {in_features} features and widths {hidden}")
        layers: list[nn.Module] = [nn.Flatten()]
        for wide, narrow in itertools.pairwise(sizes):
            layers += [nn.Linear(wide, narrow), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
        """Logits v(x)."""
        features = self.layers[1].in_features
        if x.ndim < 2 or math.prod(x.shape[1:]) != features:
            raise ValueError(f"expected a batch of examples with {features} numbers, got {tuple(x.shape)}")
        return self.layers(x).squeeze(-1)


@dataclass(frozen=True)
class CriticTraining:
    """How a critic is trained.

    Attributes:
        steps: number of gradient steps.
        batch_size: draws of each distribution per step.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        largest_gradient: the norm to which gradients are clipped; exponential bounds need it.
        evaluate_every: steps between two looks at the whole samples.
        seed: of the choice of batches.
    """

    steps: int = 300
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    largest_gradient: float = 5.0
    evaluate_every: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("batch_size", 2), ("weight_decay", 0), ("evaluate_every", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("learning_rate", "largest_gradient"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


class Progress(NamedTuple):
    """Bounds on all training and all validation data after some steps."""

    step: int
    training: float
    validation: float


def _check_samples(least: int, *samples: Tensor) -> None:
    """Refuse samples that are no tensors (n, ...) of one example shape and one type, or too small."""
    for sample in samples:
        if not isinstance(sample, Tensor):
            raise TypeError(f"expected tensors of examples, got {type(sample).__name__}")
    kinds = {(sample.shape[1:], sample.dtype) for sample in samples}
    if len(kinds) > 1 or min(sample.ndim and len(sample) for sample in samples) < least:
        found = ", ".join(f"{sample.dtype} {tuple(sample.shape)}" for sample in samples)
        raise ValueError(f"expected samples of at least {least} examples of one shape and type, got {found}")


def _logits(critic: nn.Module, examples: Tensor) -> Tensor:
    logits = critic(examples)
    if logits.shape != examples.shape[:1]:
        shapes = f"{tuple(logits.shape)} for {len(examples)} examples"
        raise ValueError(f"the critic must return one logit per example, got shape {shapes}")
    return logits


def evaluate_critic(
    critic: nn.Module,
    sample_p: Float[Tensor, "n ..."],
    sample_q: Float[Tensor, "m ..."],
    divergence: str | ConvexGenerator | OutputActivation = "jensen_shannon",
) -> Bound:
    """The bound that a critic certifies on two samples, without gradients and in evaluation mode.

    Args:
        critic: network from a batch of examples to one logit each; its mode is restored.
        sample_p: draws of p that the critic was not trained on.
        sample_q: draws of q, likewise.
        divergence: a registered name, a generator or an activation.

    Returns:
        The bound, its terms and its standard error.

    Raises:
        ValueError: if the critic does not return one logit per example, or the name is unknown.
    """
    was_training = critic.training
    critic.eval()
    try:
        with torch.no_grad():
            return logit_bound(_logits(critic, sample_p), _logits(critic, sample_q), divergence)
    finally:
        critic.train(was_training)


def train_critic(
    critic: nn.Module,
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    divergence: str | ConvexGenerator | OutputActivation = "jensen_shannon",
    settings: CriticTraining = CriticTraining(),
) -> list[Progress]:
    """Maximise the bound by stochastic gradient ascent; leaves the critic at its best on validation data.

    Args:
        critic: network from a batch of examples to one logit each; trained in place.
        training: draws of p and draws of q, each (n, ...).
        validation: further draws of p and of q.
        divergence: a registered name, a generator or an activation.
        settings: optimiser and schedule.

    Returns:
        The bounds on training and validation data along the way, from step 0 on.

    Raises:
        TypeError: if the samples are no tensors.
        ValueError: if they do not fit together, or the critic does not return one logit per example.
        FloatingPointError: if the bound stops being finite; the critic is at its best until then.
    """
    activation = get_activation(divergence)
    _check_samples(2, *training, *validation)
    was_training = critic.training
    optimiser = torch.optim.AdamW(
        critic.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    batches = torch.Generator().manual_seed(settings.seed)
    best, best_weights, history = -math.inf, copy.deepcopy(critic.state_dict()), []
    for step in range(settings.steps + 1):
        if step % settings.evaluate_every == 0 or step == settings.steps:
            bounds = (evaluate_critic(critic, *part, activation) for part in (training, validation))
            history.append(Progress(step, *(bound.value.item() for bound in bounds)))
            if history[-1].validation > best:
                best, best_weights = history[-1].validation, copy.deepcopy(critic.state_dict())
        if step == settings.steps:
            break
        critic.train()
        batch_p, batch_q = (
            x[torch.randint(len(x), (min(settings.batch_size, len(x)),), generator=batches)] for x in training
        )
        loss = -logit_bound(_logits(critic, batch_p), _logits(critic, batch_q), activation).value
        if not bool(torch.isfinite(loss)):
            critic.load_state_dict(best_weights)
            advice = "lower the learning rate or choose a divergence whose bound does not grow exponentially"
            raise FloatingPointError(
                f"the {activation.generator.name} bound is {-loss.item()} at step {step}; "
                + (advice if step else "look for nan or infinity in the data and in the critic's weights")
            )
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(critic.parameters(), settings.largest_gradient)
        optimiser.step()
    critic.load_state_dict(best_weights)
    critic.train(was_training)
    return history


class DivergenceEstimate(NamedTuple):
    """A held-out lower bound on a divergence, and what came with it."""

    held_out: Bound
    training: Bound
    history: list[Progress]
    critic: nn.Module


def estimate_divergence(
    sample_p: Float[Tensor, "n ..."],
    sample_q: Float[Tensor, "m ..."],
    divergence: str | ConvexGenerator | OutputActivation = "jensen_shannon",
    *,
    critic: nn.Module | None = None,
    settings: CriticTraining = CriticTraining(),
) -> DivergenceEstimate:
    """Lower bound on D_f(p || q) from draws: train on half, choose on a quarter, report on a quarter.

    Args:
        sample_p: independent draws of p, in random order.
        sample_q: independent draws of q, in random order.
        divergence: a registered name, a generator or an activation.
        critic: network to train in place; by default a ``Critic`` initialised under the seed of the settings.
        settings: optimiser and schedule.

    Returns:
        The bound on the last quarter, unbiased for a value that is at most the divergence; the bound on the
        training half, biased upwards; the history; the critic.

    Raises:
        TypeError: if the samples are no tensors.
        ValueError: if there are fewer than eight draws, examples of different shapes or types, or integers
            without a critic that reads them.
        FloatingPointError: if the bound stops being finite.
    """
    _check_samples(8, sample_p, sample_q)
    if critic is None:
        if not sample_p.is_floating_point():
            raise ValueError(f"the default critic needs floating-point examples, got {sample_p.dtype}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            critic = Critic(sample_p[0].numel()).to(sample_p)
    parts = [x.tensor_split((len(x) // 2, 3 * len(x) // 4)) for x in (sample_p, sample_q)]
    training, validation, held_out = ((x, y) for x, y in zip(*parts, strict=True))
    history = train_critic(critic, training, validation, divergence, settings)
    on_held_out, on_training = (evaluate_critic(critic, *part, divergence) for part in (held_out, training))
    return DivergenceEstimate(on_held_out, on_training, history, critic)
