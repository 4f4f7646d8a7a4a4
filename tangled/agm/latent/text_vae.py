"""A VAE of lines of text: recurrent encoder, recurrent decoder that also sees the characters before."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Lines of text
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from agm.data import load_shakespeare
from agm.latent.vae import DiagonalGaussian, standard_normal_log_prob


class Lines(NamedTuple):
    """Lines of equal length after padding.

    Attributes:
        ids: ``(n, longest + 1)``, characters, then the end symbol (the vocabulary's size) up to the edge.
        lengths: ``(n,)``, characters and one end symbol.
    """

    ids: Int[Tensor, "n time"]
    lengths: Int[Tensor, " n"]


def shakespeare_lines(split: str, shortest: int = 16, longest: int = 40) -> Lines:
    """Lines of the plays and sonnets that are neither headings nor stage directions.

    Args:
        split: "train" or "test"; no work is in both.
        shortest: characters.
        longest: characters.

    Returns:
        The lines, in the order of the text.

    Raises:
        ValueError: if the split is unknown or no line is left.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split: expected train or test, got {split!r}")
    text = load_shakespeare("train" if split == "train" else "test")
    kept = [
        line
        for line in text.text.split("\n")
        if max(1, shortest) <= len(line) <= longest and not line.isupper() and line[0] not in "[ "
    ]
    if not kept:
        raise ValueError(f"no line has {shortest} to {longest} characters: widen the range")
    end = len(text.vocabulary)
    ids = torch.full((len(kept), longest + 1), end)
    for row, line in enumerate(kept):
        ids[row, : len(line)] = text.vocabulary.encode(line)
    return Lines(ids, torch.tensor([len(line) + 1 for line in kept]))


@dataclass(frozen=True)
class TextVaeConfig:
    """A text VAE in numbers.

    Attributes:
        symbols: size of the vocabulary, without the end symbol.
        latent: latent dimensions; 0 makes an autoregressive model without encoder.
        hidden: width of the recurrent states.
        embedding: width of the characters' vectors.
    """

    symbols: int = 84
    latent: int = 16
    hidden: int = 160
    embedding: int = 32


class TextTerms(NamedTuple):
    """Log-likelihood of a line given its code, and the rate of each coordinate of the code, in nats."""

    reconstruction: Float[Tensor, " batch"]
    rates: Float[Tensor, "batch latent"]


class TextVAE(nn.Module):
    """A line as a Gaussian code and a recurrent network that spells it out.

    Args:
        config: its sizes.
    """

    def __init__(self, config: TextVaeConfig) -> None:
        super().__init__()
        self.config, self.end, self.blank = config, config.symbols, config.symbols + 1
        self.embedding = nn.Embedding(config.symbols + 2, config.embedding)
        if config.latent:
            self.encoder = nn.GRU(config.embedding, config.hidden, batch_first=True)
            self.posterior = nn.Linear(config.hidden, 2 * config.latent)
            self.first_state = nn.Linear(config.latent, config.hidden)
        self.decoder = nn.GRU(config.embedding + config.latent, config.hidden, batch_first=True)
        self.output = nn.Linear(config.hidden, config.symbols + 1)

    def encode(self, ids: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]) -> DiagonalGaussian:
        """The approximate posterior of every line, from the state after its end symbol."""
        if not self.config.latent:
            nothing = torch.zeros(len(ids), 0, device=ids.device)
            return DiagonalGaussian(nothing, nothing)
        states, _ = self.encoder(self.embedding(ids))  # (batch, time, hidden)
        last = states[torch.arange(len(ids), device=ids.device), lengths - 1]
        mean, log_variance = self.posterior(last).chunk(2, -1)
        return DiagonalGaussian(mean, log_variance)

    def start(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "1 batch hidden"]:
        """The decoder's state before the first character."""
        if not self.config.latent:
            return z.new_zeros(1, len(z), self.config.hidden)
        return torch.tanh(self.first_state(z))[None]

    def log_prob(
        self,
        ids: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"],
        z: Float[Tensor, "batch latent"],
        keep: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(line | z): the chain rule over characters and the end symbol.

        Args:
            ids: lines.
            lengths: of the lines, with their end symbol.
            z: their codes.
            keep: whether the decoder sees the character before each place; by default it does.

        Returns:
            Nats per line.
        """
        before = pad(ids[:, :-1], (1, 0), value=self.end)
        if keep is not None:
            before = before.masked_fill(~keep, self.blank)
        vectors = self.embedding(before)
        codes = z[:, None].expand(-1, vectors.shape[1], -1)
        states, _ = self.decoder(torch.cat([vectors, codes], -1), self.start(z))
        loss = cross_entropy(self.output(states).transpose(1, 2), ids, reduction="none")  # (batch, time)
        scored = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        return -(loss * scored).sum(1)  # @eq-tv-autoregressive

    def forward(
        self,
        ids: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"],
        noise: Float[Tensor, "batch latent"],
        keep: Bool[Tensor, "batch time"] | None = None,
    ) -> TextTerms:
        """The terms of a one-sample estimate of the ELBO, per line."""
        posterior = self.encode(ids, lengths)
        reconstruction = self.log_prob(ids, lengths, posterior.sample(noise), keep)
        return TextTerms(reconstruction, posterior.kl_per_dimension())

    def log_weights(
        self,
        ids: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"],
        noise: Float[Tensor, "draws batch latent"],
    ) -> Float[Tensor, "draws batch"]:
        """log p(line, z) - log q(z | line) at draws z of q."""
        posterior = self.encode(ids, lengths)
        z = posterior.sample(noise)
        log_q = standard_normal_log_prob(noise) - 0.5 * posterior.log_variance.sum(-1)
        draws = len(noise)
        log_p = self.log_prob(ids.repeat(draws, 1), lengths.repeat(draws), z.flatten(0, 1))
        return log_p.view(draws, -1) + standard_normal_log_prob(z) - log_q

    @torch.no_grad()
    def write(
        self, z: Float[Tensor, "n latent"], generator: torch.Generator | None, longest: int = 60
    ) -> list[list[int]]:
        """Spell out codes, one character after the other.

        Args:
            z: codes.
            generator: source of randomness; without it the likeliest character is taken each time.
            longest: characters after which a line is cut off.

        Returns:
            Character numbers of each line, without the end symbol.
        """
        state, before = self.start(z), torch.full((len(z),), self.end, device=z.device)
        chosen = []
        for _ in range(longest):
            vector = torch.cat([self.embedding(before), z], -1)[:, None]
            out, state = self.decoder(vector, state)
            logits = self.output(out[:, 0])
            if generator is None:
                before = logits.argmax(-1)
            else:
                before = torch.multinomial(torch.softmax(logits, -1), 1, generator=generator)[:, 0]
            chosen.append(before)
        lines = torch.stack(chosen, 1).tolist()
        return [line[: line.index(self.end)] if self.end in line else line for line in lines]
