"""n-grams of anything: conditional tables for contexts of every length, with Witten–Bell smoothing.

A context lists its symbols from the most to the least important; shorter contexts drop symbols from the end.
"""

from __future__ import annotations

# book/01-foundations/01-generative-ai-basics.qmd § n-grams of anything
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agm.baselines import as_symbols, inverse_cdf


def windows(
    ids: Int[Tensor, " time"], length: int, start: int
) -> tuple[Int[Tensor, "time length"], Int[Tensor, " time"]]:
    """Cut a sequence into contexts and targets, so that every symbol is predicted once.

    Args:
        ids: the sequence.
        length: symbols of context.
        start: the symbol that stands for what came before the beginning.

    Returns:
        The contexts, nearest symbol first, and the targets.

    Raises:
        ValueError: if the ids are no sequence, or the length is negative.
    """
    if ids.ndim != 1 or length < 0:
        raise ValueError(f"expected ids (time,) and a length from 0, got {tuple(ids.shape)} and {length}")
    padded = torch.cat([torch.full((length,), start, dtype=torch.long), ids])
    contexts = [padded[length - lag : len(padded) - lag] for lag in range(1, length + 1)]
    return torch.stack(contexts, 1) if contexts else ids.new_zeros((len(ids), 0)), ids


def _pairs(contexts: Tensor, targets: Tensor, base: int, n_symbols: int) -> tuple[Tensor, Tensor]:
    """Contexts and targets as int64, if they are as many and all symbols are in range."""
    contexts = as_symbols(contexts, "contexts", base, 2)
    targets = as_symbols(targets, "targets", n_symbols, 1)
    if len(targets) != len(contexts):
        raise ValueError(f"expected as many targets as contexts, got {len(targets)} and {len(contexts)}")
    return contexts, targets


def _context_codes(contexts: Tensor, base: int) -> list[Tensor]:
    """Number the contexts of 0, 1, 2, … symbols; the code of a shorter one is that of its prefix."""
    codes = [torch.zeros(len(contexts), dtype=torch.long)]
    for position in range(contexts.shape[1]):
        codes.append(codes[-1] + contexts[:, position] * base**position)
    return codes


@dataclass(frozen=True)
class _Level:
    """Counts for contexts of one length, as sorted codes."""

    pairs: Tensor
    pair_counts: Tensor
    contexts: Tensor
    context_counts: Tensor
    context_types: Tensor

    @classmethod
    def count(cls, codes: Tensor, targets: Tensor, n_symbols: int) -> _Level:
        pairs, pair_counts = torch.unique(codes * n_symbols + targets, return_counts=True)
        contexts, index, types = torch.unique_consecutive(
            pairs // n_symbols, return_inverse=True, return_counts=True
        )
        totals = torch.zeros(len(contexts), dtype=torch.long).index_add_(0, index, pair_counts)
        return cls(pairs, pair_counts, contexts, totals, types)

    def interpolate(self, codes: Tensor, targets: Tensor, n_symbols: int, shorter: Tensor) -> Tensor:
        """Witten–Bell estimate for these contexts, given that for contexts one symbol shorter."""
        here = torch.searchsorted(self.contexts, codes).clamp(max=len(self.contexts) - 1)
        seen = self.contexts[here] == codes
        count, types = self.context_counts[here] * seen, self.context_types[here] * seen
        pair = codes * n_symbols + targets
        there = torch.searchsorted(self.pairs, pair).clamp(max=len(self.pairs) - 1)
        both = self.pair_counts[there] * (self.pairs[there] == pair)
        estimate = (both + types * shorter) / (count + types).clamp(min=1)  # @eq-ba-witten-bell
        return torch.where(seen, estimate, shorter)


# book/01-foundations/01-generative-ai-basics.qmd § n-grams of anything
@dataclass(frozen=True)
class NGram:
    """Conditional distributions of a symbol given its context, interpolated over all context lengths.

    Contexts list the most important symbol first; shorter contexts drop symbols from the end. At the bottom
    stands the uniform distribution, so that every symbol is possible everywhere.

    Attributes:
        n_symbols: size of the alphabet of targets.
        levels: counts for contexts of 0, 1, 2, … symbols.
        n_context_symbols: size of the alphabet of contexts.
    """

    n_symbols: int
    levels: tuple[_Level, ...]
    n_context_symbols: int

    @classmethod
    def fit(
        cls,
        contexts: Int[Tensor, "n length"],
        targets: Int[Tensor, " n"],
        n_symbols: int,
        n_context_symbols: int | None = None,
    ) -> NGram:
        """Count all contexts and what follows them.

        Args:
            contexts: most important symbol first, for instance from ``windows``.
            targets: the symbol after each context.
            n_symbols: size of the alphabet of targets.
            n_context_symbols: size of the alphabet of contexts, if it is another one.

        Returns:
            The fitted model.

        Raises:
            TypeError: if contexts or targets are no whole numbers.
            ValueError: if there are none or not as many of both, symbols are out of range, or the context
                is too long to be numbered in 63 bits.
        """
        base = n_context_symbols or n_symbols
        contexts, targets = _pairs(contexts, targets, base, n_symbols)
        if len(targets) == 0:
            raise ValueError("targets: expected at least one")
        if base ** contexts.shape[1] * n_symbols >= 2**63:
            raise ValueError(f"contexts of {contexts.shape[1]} symbols over {base} are too long: use fewer")
        codes = _context_codes(contexts, base)
        return cls(n_symbols, tuple(_Level.count(code, targets, n_symbols) for code in codes), base)

    def shortened(self, length: int) -> NGram:
        """The same model with contexts of at most ``length`` symbols.

        Raises:
            ValueError: if the length is negative.
        """
        if length < 0:
            raise ValueError(f"length: expected a number of symbols from 0, got {length}")
        return NGram(self.n_symbols, self.levels[: length + 1], self.n_context_symbols)

    def log_prob_by_length(
        self, contexts: Int[Tensor, "n length"], targets: Int[Tensor, " n"]
    ) -> Float[Tensor, "lengths n"]:
        """Log-probability of each target, in nats, given the first 0, 1, 2, … symbols of its context.

        Raises:
            TypeError: if contexts or targets are no whole numbers.
            ValueError: if they are not as many of both, or symbols are out of range.
        """
        contexts, targets = _pairs(contexts, targets, self.n_context_symbols, self.n_symbols)
        probability = torch.full(targets.shape, 1 / self.n_symbols, dtype=torch.float64)
        by_length = []
        codes = _context_codes(contexts[:, : len(self.levels) - 1], self.n_context_symbols)
        for level, code in zip(self.levels, codes, strict=False):
            probability = level.interpolate(code, targets, self.n_symbols, probability)
            by_length.append(probability.log())
        return torch.stack(by_length)

    def log_prob(self, contexts: Int[Tensor, "n length"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Log-probability of each target given its context, in nats."""
        return self.log_prob_by_length(contexts, targets)[-1]

    def probabilities(self, contexts: Int[Tensor, "n length"]) -> Float[Tensor, "n symbols"]:
        """The whole conditional distribution for each context."""
        symbols = torch.arange(self.n_symbols).repeat(len(contexts))
        repeated = contexts.repeat_interleave(self.n_symbols, 0)
        return self.log_prob(repeated, symbols).exp().view(len(contexts), self.n_symbols)

    def continue_sequence(
        self, prompt: Int[Tensor, " start"], n: int, generator: torch.Generator
    ) -> Int[Tensor, " n"]:
        """Draw n further symbols, one after the other, each given those before it.

        Args:
            prompt: what came before, at least as long as the context.
            n: how many symbols to draw.
            generator: source of randomness.

        Returns:
            The new symbols, without the prompt.

        Raises:
            TypeError: if the prompt does not consist of whole numbers.
            ValueError: if it is shorter than the context or has symbols out of range, or if contexts have
                another alphabet than targets.
        """
        length = len(self.levels) - 1
        if length and self.n_context_symbols != self.n_symbols:
            raise ValueError("a model whose contexts have another alphabet cannot continue its own output")
        ids = as_symbols(prompt, "prompt", self.n_symbols, 1).tolist()
        if len(ids) < length:
            raise ValueError(f"prompt: expected at least {length} symbols, got {len(ids)}")
        for number in torch.rand(n, generator=generator, dtype=torch.float64):
            context = torch.tensor([ids[len(ids) - length :][::-1]], dtype=torch.long)
            ids.append(int(inverse_cdf(self.probabilities(context)[0], number)))
        return torch.tensor(ids[len(prompt) :], dtype=torch.long)
