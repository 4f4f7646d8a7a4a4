"""f-GANs: what the two players minimise, the generator network, training, and measures of coverage.

Conventions of the book: the data are p and come first, the model is q; a logit v estimates log p(x) / q(x).
"""

from __future__ import annotations

# book/01-foundations/04-generative-modelling-by-vdm.qmd § Losses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from agm.convex_generators import ConvexGenerator
from agm.divergence_estimators import frequencies, plug_in
from agm.vdm import OutputActivation, get_activation, logit_bound

GeneratorLoss = Literal["minimax", "heuristic"]
GENERATOR_LOSSES: tuple[GeneratorLoss, ...] = ("minimax", "heuristic")


class GameLosses(NamedTuple):
    """The value of the game, and what each of the two players minimises."""

    value: Tensor
    critic: Tensor
    generator: Tensor


def _generator_utility(activation: OutputActivation, logits: Tensor, generator_loss: GeneratorLoss) -> Tensor:
    """u(v), which the generator wants to be large on its samples."""
    if generator_loss not in GENERATOR_LOSSES:
        raise ValueError(f"generator_loss must be one of {GENERATOR_LOSSES}, got {generator_loss!r}")
    return activation.conjugate(logits) if generator_loss == "minimax" else activation.critic(logits)


def game_losses(
    logits_p: Float[Tensor, " n"],
    logits_q: Float[Tensor, " m"],
    divergence: str | ConvexGenerator | OutputActivation = "jensen_shannon",
    generator_loss: GeneratorLoss = "minimax",
    critic_divergence: str | ConvexGenerator | OutputActivation | None = None,
) -> GameLosses:
    """Losses of critic and generator from the critic's logits (Nowozin, Cseke & Tomioka, 2016).

    Args:
        logits_p: v(x) at draws of the data.
        logits_q: v(G(z)) at draws of the model.
        divergence: a registered name, a generator or an activation.
        generator_loss: "minimax" minimises the value, "heuristic" maximises the critic on the samples.
        critic_divergence: of the critic's loss (and the value), if it is to differ from the generator's.

    Returns:
        Value, critic's loss and generator's loss, scalars.

    Raises:
        ValueError: if a name is unknown, or a sample has fewer than two draws.
    """
    activation = get_activation(divergence)
    judge = activation if critic_divergence is None else critic_divergence
    value = logit_bound(logits_p, logits_q, judge).value  # @eq-fg-game
    generator = -_generator_utility(activation, logits_q, generator_loss).mean(-1)
    return GameLosses(value, -value, generator)


def force(
    logits: Float[Tensor, "*shape"],
    divergence: str | ConvexGenerator | OutputActivation = "jensen_shannon",
    generator_loss: GeneratorLoss = "minimax",
) -> Float[Tensor, "*shape"]:
    """Weight u'(v) with which a sample is pulled along the gradient of its logit.

    Args:
        logits: v at the samples.
        divergence: a registered name, a generator or an activation.
        generator_loss: as for ``game_losses``.

    Returns:
        The weights: exp(2 v) f''(exp v) for "minimax", exp(v) f''(exp v) for "heuristic".

    Raises:
        TypeError: if the logits are no floating-point tensor.
        ValueError: if a name is unknown.
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        found = getattr(logits, "dtype", type(logits).__name__)
        raise TypeError(f"logits: expected a floating-point tensor, got {found}")
    with torch.enable_grad():
        v = logits.detach().requires_grad_()
        utility = _generator_utility(get_activation(divergence), v, generator_loss)
        return torch.autograd.grad(utility.sum(), v)[0]  # @eq-fg-force


# book/01-foundations/04-generative-modelling-by-vdm.qmd § The generator
class Generator(nn.Module):
    """A multilayer perceptron from Gaussian noise to examples; without hidden layers it is affine."""

    def __init__(
        self,
        latent_features: int,
        shape: Sequence[int],
        hidden: Sequence[int] = (64, 64),
        unit_interval: bool = False,
    ) -> None:
        super().__init__()
        self.latent_features, self.shape = latent_features, tuple(shape)
        sizes = [latent_features, *hidden]
        if min(*sizes, *self.shape, 1) < 1:
            raise ValueError(f"expected sizes of at least 1, got widths {sizes} and shape {self.shape}")
        layers: list[nn.Module] = []
        for wide, narrow in itertools.pairwise(sizes):
            layers += [nn.Linear(wide, narrow), nn.SiLU()]
        layers.append(nn.Linear(sizes[-1], math.prod(self.shape)))
        self.layers = nn.Sequential(*layers, *([nn.Sigmoid()] if unit_interval else []))

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch ..."]:
        """Examples G(z), (batch, *shape)."""
        if z.ndim != 2 or z.shape[1] != self.latent_features:
            raise ValueError(f"expected noise (batch, {self.latent_features}), got {tuple(z.shape)}")
        return self.layers(z).unflatten(-1, self.shape)


def _noise(generator: Generator, n: int, draws: torch.Generator) -> Tensor:
    """n draws of the noise, in the type of the generator's weights."""
    return torch.randn(n, generator.latent_features, generator=draws).to(next(generator.parameters()))


def sample(generator: Generator, n: int, seed: int = 0) -> Float[Tensor, "n ..."]:
    """n independent draws of the model.

    Args:
        generator: the model.
        n: number of draws.
        seed: of the noise.

    Returns:
        Examples (n, *shape), without gradients.

    Raises:
        ValueError: if n is not positive.
    """
    if n < 1:
        raise ValueError(f"n: expected at least one draw, got {n}")
    with torch.no_grad():
        return generator(_noise(generator, n, torch.Generator().manual_seed(seed)))


# book/01-foundations/04-generative-modelling-by-vdm.qmd § Playing
@dataclass(frozen=True)
class GameTraining:
    """How the game is played.

    Attributes:
        steps: number of generator steps.
        batch_size: draws of data and of model per step.
        instance_noise: standard deviation of Gaussian noise added to all examples before the critic.
        generator_rate: learning rate of the generator's Adam.
        critic_rate: learning rate of the critic's Adam.
        momentum: Adam's first decay; games want less than the usual 0.9.
        largest_gradient: norm to which each player's gradient is clipped.
        critic_steps: critic steps before each generator step; 0 is the single-step method, in which both
            players move at once, from the same point and on the same batch.
        generator_loss: "minimax" or "heuristic".
        critic_divergence: registered divergence of the critic's loss; None for that of the generator.
        record_every: steps between two records.
        seed: of batches and noise.
    """

    steps: int = 1500
    batch_size: int = 128
    instance_noise: float = 0.0
    generator_rate: float = 5e-4
    critic_rate: float = 2e-3
    momentum: float = 0.5
    largest_gradient: float = 5.0
    critic_steps: int = 0
    generator_loss: GeneratorLoss = "minimax"
    critic_divergence: str | None = None
    record_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        at_least = {"steps": 0, "batch_size": 2, "instance_noise": 0, "critic_steps": 0, "record_every": 1}
        for name, least in at_least.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("generator_rate", "critic_rate", "largest_gradient"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")
        if self.generator_loss not in GENERATOR_LOSSES:
            raise ValueError(f"generator_loss must be one of {GENERATOR_LOSSES}, got {self.generator_loss!r}")


class Move(NamedTuple):
    """The value of the game, on one batch, before a step."""

    step: int
    value: float


def train_fgan(
    generator: Generator,
    critic: nn.Module,
    data: Float[Tensor, "n ..."],
    divergence: str | ConvexGenerator | OutputActivation = "jensen_shannon",
    settings: GameTraining = GameTraining(),
) -> list[Move]:
    """Play the game: the critic ascends the variational bound, the generator descends its loss.

    Args:
        generator: trained in place.
        critic: network from a batch of examples to one logit each; trained in place.
        data: training examples.
        divergence: a registered name, a generator or an activation.
        settings: schedule and optimisers.

    Returns:
        The value of the game along the way.

    Raises:
        TypeError: if the data are no floating-point tensor.
        ValueError: if there are no data, their shape is not that of the generator's examples, or the critic
            does not return one logit per example.
        FloatingPointError: if the value or the generator's loss stops being finite.
    """
    activation = get_activation(divergence)
    if not isinstance(data, Tensor) or not data.is_floating_point():
        found = getattr(data, "dtype", type(data).__name__)
        raise TypeError(f"data: expected a floating-point tensor, got {found}")
    if data.ndim == 0 or len(data) == 0 or data.shape[1:] != generator.shape:
        raise ValueError(f"data: expected n examples of shape {generator.shape}, got {tuple(data.shape)}")
    draws = torch.Generator().manual_seed(settings.seed)
    players = (list(critic.parameters()), list(generator.parameters()))
    optimisers = [
        torch.optim.Adam(parameters, rate, betas=(settings.momentum, 0.999), fused=True)
        for parameters, rate in zip(players, (settings.critic_rate, settings.generator_rate), strict=True)
    ]
    history: list[Move] = []

    def losses(step: int) -> GameLosses:
        real = data[torch.randint(len(data), (settings.batch_size,), generator=draws)]
        fake = generator(_noise(generator, settings.batch_size, draws))
        both = torch.cat([real, fake])
        if settings.instance_noise > 0:
            both = both + settings.instance_noise * torch.randn(both.shape, generator=draws).to(both)
        logits = critic(both)
        if logits.shape != both.shape[:1]:
            shapes = f"{tuple(logits.shape)} for {len(both)} examples"
            raise ValueError(f"the critic must return one logit per example, got shape {shapes}")
        logits_p, logits_q = logits.split(settings.batch_size)
        result = game_losses(
            logits_p, logits_q, activation, settings.generator_loss, settings.critic_divergence
        )
        if not bool(torch.isfinite(result.value) & torch.isfinite(result.generator)):
            raise FloatingPointError(
                f"the {activation.generator.name} game has value {result.value.item()} and generator's loss "
                f"{result.generator.item()} at step {step}; lower the learning rates, or choose a divergence "
                "whose bound does not grow exponentially"
            )
        return result

    def move(player: int, gradients: Sequence[Tensor]) -> None:
        for parameter, gradient in zip(players[player], gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(players[player], settings.largest_gradient)
        optimisers[player].step()

    for step in range(settings.steps):
        for _ in range(settings.critic_steps):
            move(0, torch.autograd.grad(losses(step).critic, players[0]))
        now = losses(step)
        if step % settings.record_every == 0:
            history.append(Move(step, now.value.item()))
        together = settings.critic_steps == 0
        # Both gradients are taken before anybody moves.
        for_critic = torch.autograd.grad(now.critic, players[0], retain_graph=True) if together else None
        for_generator = torch.autograd.grad(now.generator, players[1])
        if for_critic is not None:
            move(0, for_critic)  # @eq-fg-single-step
        move(1, for_generator)
    return history


# book/01-foundations/04-generative-modelling-by-vdm.qmd § Measuring coverage
class Coverage(NamedTuple):
    """How a model's histogram compares with that of the data."""

    covered: int
    cells: int
    forward_kl: float
    reverse_kl: float


def nearest_cell(
    x: Float[Tensor, "n ..."], centres: Float[Tensor, "cells ..."], radius: float = math.inf
) -> Int[Tensor, " n"]:
    """Index of the nearest centre, or the number of centres for points farther than the radius from all.

    Raises:
        ValueError: if there is no centre, or points and centres have different numbers of coordinates.
    """
    sizes = {math.prod(part.shape[1:]) for part in (x, centres)}
    if min(x.ndim, centres.ndim) < 2 or len(centres) == 0 or len(sizes) > 1:
        shapes = f"{tuple(x.shape)} and {tuple(centres.shape)}"
        raise ValueError(f"expected points and at least one centre with as many coordinates, got {shapes}")
    distance, cell = torch.cdist(x.flatten(1), centres.flatten(1)).min(1)
    return torch.where(distance <= radius, cell, len(centres))


def coverage(
    counts_p: Int[Tensor, " cells"],
    counts_q: Int[Tensor, " cells"],
    *,
    pseudo_count: float = 0.5,
    least_share: float = 0.25,
) -> Coverage:
    """Cells covered by the model, and KL(p || q), KL(q || p) between the two histograms.

    Args:
        counts_p: counts of the data.
        counts_q: counts of the model.
        pseudo_count: added to every cell of the model (and of the data) so that both divergences are finite.
        least_share: a cell of the data is covered if the model gives it this share of its frequency.

    Returns:
        Number of covered cells, number of cells with data, forward and reverse KL in nats.

    Raises:
        TypeError: if a histogram is no tensor.
        ValueError: if the two have different cells, one of them is empty, or a count is negative.
    """
    p, q = frequencies(counts_p), frequencies(counts_q)
    if p.ndim != 1 or p.shape != q.shape:
        shapes = f"{tuple(p.shape)} and {tuple(q.shape)}"
        raise ValueError(f"expected two histograms with the same cells, got shapes {shapes}")
    forward = plug_in(counts_p, counts_q, "kl", pseudo_count).item()
    reverse = plug_in(counts_q, counts_p, "kl", pseudo_count).item()
    occupied = p > 0
    enough = q >= least_share * p
    return Coverage(int((occupied & enough).sum()), int(occupied.sum()), forward, reverse)
