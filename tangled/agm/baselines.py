"""The simplest honest generative models: histogram, Gaussian and Markov chain.

Each is fitted by maximum likelihood, scores data in nats and draws samples. Conventions: data come as the
leading argument, randomness as an explicit ``torch.Generator``, probabilities in float64.
"""

from __future__ import annotations

# book/01-foundations/01-generative-ai-basics.qmd § Units, noise, and the inverse staircase
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


def bits_per(log_prob: Float[Tensor, "*batch"], units: int | Tensor) -> Float[Tensor, "*batch"]:
    """Turn log-probabilities in nats into code lengths in bits per dimension, character or frame.

    Args:
        log_prob: log p(x) in nats.
        units: how many dimensions, characters or frames each x consists of; one number, or one for each x.

    Returns:
        ``-log_prob / (units * log 2)``; smaller is better.

    Raises:
        TypeError: if the log-probabilities are no floating-point tensor.
        ValueError: if a number of units is not positive, or there is neither one nor one for each x.
    """
    if not isinstance(log_prob, Tensor) or not log_prob.is_floating_point():
        found = getattr(log_prob, "dtype", type(log_prob).__name__)
        raise TypeError(f"log_prob: expected a floating-point tensor, got {found}")
    divisor = torch.as_tensor(units).to(log_prob)
    if divisor.numel() != 1 and divisor.shape != log_prob.shape:
        shapes = f"{tuple(divisor.shape)} for {tuple(log_prob.shape)}"
        raise ValueError(f"units: expected one number, or one for each log-probability, got shape {shapes}")
    if not bool((divisor > 0).all()):
        raise ValueError("units: expected positive numbers")
    return -log_prob / (divisor * math.log(2.0))  # @eq-ba-bits


def as_symbols(x: Int[Tensor, "*shape"], name: str, size: int, ndim: int) -> Int[Tensor, "*shape"]:
    """Whole numbers in [0, size) as int64, which counts without overflow whatever the type was.

    Args:
        x: the numbers.
        name: what they are, for the messages.
        size: number of symbols.
        ndim: number of axes.

    Returns:
        The same numbers.

    Raises:
        TypeError: if x is no tensor of whole numbers.
        ValueError: if it has other axes, or a number is out of range.
    """
    if not isinstance(x, Tensor) or x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        found = getattr(x, "dtype", type(x).__name__)
        raise TypeError(f"{name}: expected a tensor of whole numbers, got {found}")
    if x.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} axes, got shape {tuple(x.shape)}")
    if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < size:
        found = f"{int(x.min())} to {int(x.max())}"
        raise ValueError(f"{name}: expected whole numbers in [0, {size}), got {found}")
    return x.long()


def dequantise(levels: Int[Tensor, "*shape"], generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """Spread whole numbers uniformly over the unit cells [k, k + 1).

    Args:
        levels: whole numbers, any shape.
        generator: source of randomness.

    Returns:
        ``levels + u`` with u uniform on [0, 1), float64.
    """
    return levels + torch.rand(levels.shape, generator=generator, dtype=torch.float64)


def inverse_cdf(
    probabilities: Float[Tensor, "*batch symbols"], uniform: Float[Tensor, "*batch"]
) -> Int[Tensor, "*batch"]:
    """The generalised inverse of a discrete distribution function: one uniform number in, one symbol out.

    Args:
        probabilities: non-negative weights along the last axis; they need not sum to one.
        uniform: numbers in [0, 1); one that rounding has lifted to 1 counts as just below.

    Returns:
        The smallest symbol whose cumulative probability exceeds ``uniform``; never one of probability zero.

    Raises:
        TypeError: if one of the two is no tensor.
        ValueError: if a weight is negative or not finite, all weights of a row vanish, a number is outside
            [0, 1], or the shapes do not fit together.
    """
    if not isinstance(probabilities, Tensor) or not isinstance(uniform, Tensor):
        kinds = f"{type(probabilities).__name__} and {type(uniform).__name__}"
        raise TypeError(f"probabilities, uniform: expected tensors, got {kinds}")
    rows = probabilities.shape[:-1]
    if (
        probabilities.ndim == 0
        or probabilities.shape[-1] == 0
        or (rows and rows != uniform.shape[-len(rows) :])
    ):
        shapes = f"{tuple(probabilities.shape)} and {tuple(uniform.shape)}"
        raise ValueError(f"expected one row of weights for each number, got shapes {shapes}")
    if not bool(((uniform >= 0) & (uniform <= 1)).all()):
        raise ValueError("uniform: expected numbers in [0, 1)")
    cumulative = probabilities.double().cumsum(-1)
    total = cumulative[..., -1:]
    if bool((probabilities < 0).any()) or not bool((torch.isfinite(total) & (total > 0)).all()):
        raise ValueError("probabilities: expected finite non-negative weights, at least one of them positive")
    below_total = torch.nextafter(total, torch.zeros_like(total))  # rounding must not reach the last step
    threshold = torch.minimum(uniform.double().unsqueeze(-1) * total, below_total)
    return (cumulative <= threshold).sum(-1)  # @eq-ba-discrete-inverse


# book/01-foundations/01-generative-ai-basics.qmd § Histogram and Gaussian
@dataclass(frozen=True)
class Histogram:
    """Independent dimensions, each with a probability table over the same whole-number levels.

    Attributes:
        probabilities: one row per dimension.
    """

    probabilities: Float[Tensor, "dimensions levels"]

    @classmethod
    def fit(cls, x: Int[Tensor, "n dimensions"], n_levels: int, pseudo_count: float = 1.0) -> Histogram:
        """Count the levels of every dimension; with ``pseudo_count=0`` this is the maximum of the likelihood.

        Args:
            x: data, whole numbers in [0, n_levels).
            n_levels: number of levels.
            pseudo_count: added to every count, so that no level is impossible.

        Returns:
            The fitted model.

        Raises:
            TypeError: if the data are no whole numbers.
            ValueError: if a value is outside the levels, there is nothing to count, or the pseudo-count is
                negative or not finite.
        """
        x = as_symbols(x, "x", n_levels, 2)
        if x.numel() == 0 or not 0 <= pseudo_count < math.inf:
            found = f"shape {tuple(x.shape)} and pseudo_count {pseudo_count}"
            raise ValueError(f"expected data and a finite, non-negative pseudo-count, got {found}")
        counts = torch.full((x.shape[1], n_levels), float(pseudo_count), dtype=torch.float64)
        counts.scatter_add_(1, x.T, torch.ones(x.T.shape, dtype=torch.float64))
        return cls(counts / counts.sum(1, keepdim=True))  # @eq-ba-categorical-mle

    def log_prob(self, x: Int[Tensor, "n dimensions"]) -> Float[Tensor, " n"]:
        """Log-probability of every row, in nats; minus infinity for levels never counted.

        Raises:
            TypeError: if the data are no whole numbers.
            ValueError: if a row has another number of dimensions, or a value is outside the levels.
        """
        dimensions, n_levels = self.probabilities.shape
        x = as_symbols(x, "x", n_levels, 2)
        if x.shape[1] != dimensions:
            raise ValueError(f"x: expected rows of {dimensions} dimensions, got shape {tuple(x.shape)}")
        return self.probabilities.log().gather(1, x.T).sum(0)

    def sample(self, n: int, generator: torch.Generator) -> Int[Tensor, "n dimensions"]:
        """Draw n rows."""
        shape = (n, len(self.probabilities))
        return inverse_cdf(self.probabilities, torch.rand(shape, generator=generator, dtype=torch.float64))


# book/01-foundations/01-generative-ai-basics.qmd § Histogram and Gaussian
@dataclass(frozen=True)
class Gaussian:
    """A multivariate Gaussian, held by its mean and the Cholesky factor of its covariance.

    Attributes:
        mean: its mean.
        factor: lower triangular L with covariance L L^T.
    """

    mean: Float[Tensor, " dimensions"]
    factor: Float[Tensor, "dimensions dimensions"]

    @classmethod
    def fit(cls, x: Float[Tensor, "n dimensions"], rank: int | None = None) -> Gaussian:
        """Match mean and covariance of the data, the maximum of the likelihood.

        Args:
            x: data.
            rank: keep this many principal directions and average the variance of the others
                (probabilistic PCA); by default all directions are kept.

        Returns:
            The fitted model.

        Raises:
            TypeError: if the data are no tensor.
            ValueError: if the data are not finite rows, the rank is out of range or the covariance is
                singular.
        """
        if not isinstance(x, Tensor):
            raise TypeError(f"x: expected a tensor of rows, got {type(x).__name__}")
        if x.ndim != 2 or x.numel() == 0 or not bool(torch.isfinite(x).all()):
            raise ValueError(f"x: expected finite rows (n, dimensions), got shape {tuple(x.shape)}")
        x = x.double()
        mean = x.mean(0)
        covariance = (x - mean).T @ (x - mean) / len(x)  # divides by n, not n - 1: @eq-ba-gaussian-mle
        if rank is not None:
            if not 0 <= rank < len(mean):
                raise ValueError(f"rank must be in [0, {len(mean)}), got {rank}")
            variances, directions = torch.linalg.eigh(covariance)  # ascending
            discarded = len(mean) - rank
            variances = torch.cat([variances[:discarded].mean().expand(discarded), variances[discarded:]])
            covariance = directions * variances @ directions.T
        factor, info = torch.linalg.cholesky_ex(covariance)
        if int(info) > 0:
            raise ValueError(
                "covariance is singular: a dimension is constant or a combination of others; dequantise x, "
                "drop the dimension or choose a rank"
            )
        return cls(mean, factor)

    def log_prob(self, x: Float[Tensor, "n dimensions"]) -> Float[Tensor, " n"]:
        """Log-density of every row, in nats.

        Raises:
            ValueError: if a row has another number of dimensions.
        """
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ValueError(f"x: expected rows of {len(self.mean)} dimensions, got shape {tuple(x.shape)}")
        noise = torch.linalg.solve_triangular(self.factor, (x.double() - self.mean).T, upper=False)
        log_volume = torch.log(self.factor.diagonal()).sum() + 0.5 * len(self.mean) * math.log(2 * math.pi)
        return -0.5 * (noise**2).sum(0) - log_volume  # @eq-ba-gaussian-density

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n dimensions"]:
        """Draw n rows by pushing standard noise through the affine map of @eq-ba-affine."""
        noise = torch.randn(n, len(self.mean), generator=generator, dtype=torch.float64)
        return self.mean + noise @ self.factor.T

    def given(self, first: Float[Tensor, "n given"]) -> tuple[Float[Tensor, "n rest"], Tensor]:
        """Condition on the first coordinates.

        Args:
            first: values of the first ``given`` dimensions.

        Returns:
            The conditional means of the remaining dimensions, and the Cholesky factor they share.

        Raises:
            ValueError: if no dimension is given, or none remains.
        """
        if first.ndim != 2 or not 0 < first.shape[1] < len(self.mean):
            wanted = f"rows of 1 to {len(self.mean) - 1} values"
            raise ValueError(f"first: expected {wanted}, got shape {tuple(first.shape)}")
        k = first.shape[1]
        noise = torch.linalg.solve_triangular(
            self.factor[:k, :k], (first.double() - self.mean[:k]).T, upper=False
        )
        return self.mean[k:] + (self.factor[k:, :k] @ noise).T, self.factor[k:, k:]


# book/01-foundations/01-generative-ai-basics.qmd § Markov chain
@dataclass(frozen=True)
class MarkovChain:
    """A first-order chain: each state depends on the one before, and on nothing else.

    Attributes:
        initial: probabilities of the first state.
        transition: row s holds the probabilities of the state after s.
    """

    initial: Float[Tensor, " states"]
    transition: Float[Tensor, "states states"]

    @classmethod
    def fit(
        cls, sequences: Sequence[Int[Tensor, " time"]], n_states: int, pseudo_count: float = 0.0
    ) -> MarkovChain:
        """Count first states and transitions.

        Args:
            sequences: sequences of states in [0, n_states), not empty.
            n_states: number of states.
            pseudo_count: total weight of the pseudo-observations of each row; they are spread in proportion
                to how often the states occur, plus one each.

        Returns:
            The fitted chain; a row without any observation follows the pseudo-observations.

        Raises:
            TypeError: if a sequence does not consist of whole numbers.
            ValueError: if there is no sequence, one of them is empty, a state is out of range, or the
                pseudo-count is negative or not finite.
        """
        if len(sequences) == 0 or min(map(len, sequences)) == 0:
            raise ValueError("sequences: expected at least one, none of them empty")
        if not 0 <= pseudo_count < math.inf:
            raise ValueError(f"pseudo_count: expected a finite, non-negative number, got {pseudo_count}")
        sequences = [as_symbols(sequence, "sequences", n_states, 1) for sequence in sequences]
        firsts = torch.stack([sequence[0] for sequence in sequences])
        pairs = torch.cat([sequence[:-1] * n_states + sequence[1:] for sequence in sequences])
        counts = torch.bincount(pairs, minlength=n_states**2).double().view(n_states, n_states)
        occurrences = torch.bincount(torch.cat(sequences), minlength=n_states).double() + 1
        prior = occurrences / occurrences.sum()
        weight = torch.full((n_states, 1), float(pseudo_count), dtype=torch.float64)
        weight[counts.sum(1) == 0] += 1
        smoothed = counts + weight * prior
        initial = torch.bincount(firsts, minlength=n_states) + pseudo_count * prior
        return cls(initial / initial.sum(), smoothed / smoothed.sum(1, keepdim=True))

    def log_prob(self, sequence: Int[Tensor, " time"]) -> Float[Tensor, ""]:
        """Log-probability of a whole sequence, in nats.

        Raises:
            TypeError: if the states are no whole numbers.
            ValueError: if the sequence is empty, or a state is out of range.
        """
        sequence = as_symbols(sequence, "sequence", len(self.initial), 1)
        if len(sequence) == 0:
            raise ValueError("sequence: expected at least one state")
        steps = self.transition[sequence[:-1], sequence[1:]]
        return self.initial[sequence[0]].log() + steps.log().sum()  # @eq-ba-markov

    def sample(self, length: int, generator: torch.Generator) -> Int[Tensor, " length"]:
        """Draw one sequence, state after state.

        Raises:
            ValueError: if the length is not positive.
        """
        if length < 1:
            raise ValueError(f"length: expected at least 1, got {length}")
        uniform = torch.rand(length, generator=generator, dtype=torch.float64)
        states = [inverse_cdf(self.initial, uniform[0])]
        for number in uniform[1:]:
            states.append(inverse_cdf(self.transition[states[-1]], number))
        return torch.stack(states)
