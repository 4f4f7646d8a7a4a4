"""A small VAE with categorical latents, whose ELBO can be summed over all codes."""

from __future__ import annotations

# book/03-latent/19-reparameterisation.qmd § A discrete VAE that can be enumerated
import itertools
import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agm.latent.decoders import bernoulli_log_prob
from agm.latent.gumbel import gumbel_max, gumbel_softmax
from agm.latent.networks import perceptron
from agm.latent.reparam import leave_one_out, score_surrogate

DiscreteEstimator = Literal["exact", "score", "leave_one_out", "gumbel_softmax", "straight_through"]
MOST_CODES = 100_000


class CategoricalVae(nn.Module):
    """Independent categorical latents with a uniform prior, perceptrons, and a Bernoulli decoder.

    Args:
        size: number of binary values of one example.
        variables: number of latents.
        categories: values of each; there may be up to 100,000 codes, ``categories ** variables``.
        hidden: width of the one hidden layer of encoder and decoder.

    Raises:
        ValueError: if a number is not positive, or there are too many codes.
    """

    def __init__(self, size: int, variables: int, categories: int, hidden: int = 64) -> None:
        super().__init__()
        if min(size, variables, categories, hidden) < 1:
            raise ValueError("size, variables, categories and hidden: must be positive")
        if variables * math.log(categories) > math.log(MOST_CODES):
            raise ValueError(f"{categories} ** {variables} codes: at most {MOST_CODES:,} can be enumerated")
        self.size, self.variables, self.categories = size, variables, categories
        self.encoder = perceptron((size, hidden, variables * categories))
        self.decoder = perceptron((variables * categories, hidden, size))
        codes = torch.tensor(list(itertools.product(range(categories), repeat=variables)))
        self.all_codes: Tensor
        self.register_buffer("all_codes", nn.functional.one_hot(codes, categories).float(), persistent=False)

    def encode(self, x: Float[Tensor, "batch size"]) -> Float[Tensor, "batch variables categories"]:
        """Log-probabilities of the categories of every latent."""
        if x.ndim != 2 or x.shape[1] != self.size:
            raise ValueError(f"x: expected shape (batch, {self.size}), got {tuple(x.shape)}")
        return torch.log_softmax(self.encoder(x).unflatten(-1, (self.variables, self.categories)), -1)

    def rate(self, log_q: Float[Tensor, "batch variables categories"]) -> Float[Tensor, " batch"]:
        """KL from the uniform prior, exact."""
        return (log_q.exp() * (log_q + math.log(self.categories))).sum((-2, -1))

    def reconstruction(
        self, x: Float[Tensor, "batch size"], code: Float[Tensor, "draws batch variables categories"]
    ) -> Float[Tensor, "draws batch"]:
        """log p(x | code) in nats; the code may be relaxed."""
        logits = self.decoder(code.flatten(-2))
        return bernoulli_log_prob(logits, x.expand_as(logits)).sum(-1)

    def elbo(self, x: Float[Tensor, "batch size"]) -> Float[Tensor, " batch"]:
        """The ELBO, summed over all codes: no estimate."""
        log_q = self.encode(x)
        joint = torch.einsum("cvk,bvk->cb", self.all_codes, log_q)  # log q of every code
        table = self.reconstruction(x, self.all_codes.unsqueeze(1).expand(-1, len(x), -1, -1))
        return (joint.exp() * table).sum(0) - self.rate(log_q)

    def surrogate(
        self,
        x: Float[Tensor, "batch size"],
        noise: Float[Tensor, "draws batch variables categories"],
        estimator: DiscreteEstimator,
        temperature: float = 1.0,
    ) -> Float[Tensor, "draws batch"]:
        """Estimates of the ELBO with gradients; those of the two relaxations are biased.

        Args:
            x: binary data.
            noise: Gumbel noise.
            estimator: "exact" ignores the noise.
            temperature: of the relaxations.

        Returns:
            One surrogate for each draw and example.

        Raises:
            ValueError: if the estimator is unknown, or a shape does not fit.
        """
        if estimator not in get_args(DiscreteEstimator):
            raise ValueError(f"estimator: unknown name {estimator!r}; see DiscreteEstimator")
        if estimator == "exact":
            return self.elbo(x).unsqueeze(0)
        log_q = self.encode(x)
        if noise.ndim != 4:
            raise ValueError(f"noise: expected (draws, *{tuple(log_q.shape)}), got {tuple(noise.shape)}")
        if estimator in ("gumbel_softmax", "straight_through"):
            code = gumbel_softmax(log_q, noise, temperature, hard=estimator == "straight_through")
            return self.reconstruction(x, code) - self.rate(log_q)
        code = gumbel_max(log_q, noise)
        value = self.reconstruction(x, code)
        log_prob = (code * log_q).sum((-2, -1))
        if estimator == "leave_one_out":
            return score_surrogate(value, log_prob, leave_one_out(value)) - self.rate(log_q)
        return score_surrogate(value, log_prob) - self.rate(log_q)
