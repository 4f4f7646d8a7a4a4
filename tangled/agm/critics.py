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
        layers: list[nn.Module] = [nn.Flatten()]
        for wide, narrow in itertools.pairwise(sizes):
            layers += [nn.Linear(wide, narrow), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
        """Logits v(x)."""
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


class Progress(NamedTuple):
    """Bounds on all training and all validation data after some steps."""

    step: int
    training: float
    validation: float


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
        FloatingPointError: if the bound stops being finite.
    """
    activation = get_activation(divergence)
    optimiser = torch.optim.AdamW(
        critic.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    batches = torch.Generator().manual_seed(settings.seed)
    best, best_weights, history = -math.inf, copy.deepcopy(critic.state_dict()), []

    def whole(sample: tuple[Tensor, Tensor]) -> float:
        with torch.no_grad():
            return logit_bound(critic(sample[0]), critic(sample[1]), activation).value.item()

    for step in range(settings.steps + 1):
        if step % settings.evaluate_every == 0 or step == settings.steps:
            history.append(Progress(step, whole(training), whole(validation)))
            if history[-1].validation > best:
                best, best_weights = history[-1].validation, copy.deepcopy(critic.state_dict())
        if step == settings.steps:
            break
        batch_p, batch_q = (
            x[torch.randint(len(x), (min(settings.batch_size, len(x)),), generator=batches)] for x in training
        )
        loss = -logit_bound(critic(batch_p), critic(batch_q), activation).value
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                f"the {activation.generator.name} bound is {-loss.item()} at step {step}; "
                "lower the learning rate or choose a divergence whose bound does not grow exponentially"
            )
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(critic.parameters(), settings.largest_gradient)
        optimiser.step()
    critic.load_state_dict(best_weights)
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
        ValueError: if there are fewer than eight draws, or examples of different shapes.
    """
    if min(len(sample_p), len(sample_q)) < 8 or sample_p.shape[1:] != sample_q.shape[1:]:
        shapes = f"{tuple(sample_p.shape)} and {tuple(sample_q.shape)}"
        raise ValueError(f"expected two samples of at least 8 examples of one shape, got {shapes}")
    if critic is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            critic = Critic(sample_p[0].numel()).to(sample_p)
    parts = [x.tensor_split((len(x) // 2, 3 * len(x) // 4)) for x in (sample_p, sample_q)]
    training, validation, held_out = zip(*parts, strict=True)
    history = train_critic(critic, training, validation, divergence, settings)
    with torch.no_grad():
        on_held_out, on_training = (
            logit_bound(critic(x), critic(y), divergence) for x, y in (held_out, training)
        )
    return DivergenceEstimate(on_held_out, on_training, history, critic)
