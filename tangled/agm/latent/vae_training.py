"""Training a VAE: warm-up, free bits, active units, and the likelihood of held-out data with its error."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Objectives and instruments
import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from agm.latent.elbo import importance_log_likelihood
from agm.latent.vae import VAE, vae_loss
from agm.training import StepContext
from agm.training.noise import BLOCK

ACTIVE = 0.01
"""Variance of the posterior mean over the data above which a unit counts as active (Burda et al., 2016)."""


def kl_weight(step: int, warmup: int) -> float:
    """Weight of the KL term while it is warmed up (Bowman et al., 2016).

    Args:
        step: number of steps already made, from 0.
        warmup: steps until the weight is one; 0 for no warm-up.

    Returns:
        (step + 1) / warmup, at most 1.
    """
    return min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0  # @eq-tv-warmup


def free_bits_kl(rates: Float[Tensor, "batch latent"], floor: float) -> Float[Tensor, ""]:
    """KL term in which a coordinate costs at least ``floor`` (Kingma et al., 2016).

    Args:
        rates: KL of every example and coordinate, in nats.
        floor: nats per coordinate that are free; 0 gives the plain KL term.

    Returns:
        The sum over coordinates of the larger of ``floor`` and the coordinate's average rate.

    Raises:
        ValueError: if there is no table of rates with at least one example.
    """
    if rates.ndim != 2 or len(rates) == 0:
        raise ValueError(f"rates: expected (examples, coordinates), at least one example; got {rates.shape}")
    return rates.mean(0).clamp(min=floor).sum()  # @eq-tv-free-bits


def active_units(
    means: Float[Tensor, "examples latent"], threshold: float = ACTIVE
) -> Bool[Tensor, " latent"]:
    """Which latent coordinates carry information: those whose posterior mean varies with the data.

    Args:
        means: posterior means of many examples.
        threshold: on their variance.

    Returns:
        One truth value per coordinate.

    Raises:
        ValueError: if there are fewer than two examples, or a mean is not finite.
    """
    if len(means) < 2:
        raise ValueError(f"means of {len(means)} examples have no variance: encode at least two")
    if not bool(torch.isfinite(means).all()):
        raise ValueError("means: some are nan or infinite, and would count as inactive; check the encoder")
    spread = (means - means.mean(0)).square().sum(0) / (len(means) - 1)
    return spread > threshold  # @eq-tv-active


def importance_bias(effective_sample_size: Tensor, draws: int) -> Tensor:
    """How far, to first order, the K-sample bound lies below log p(x).

    Args:
        effective_sample_size: of the K weights of an example.
        draws: K.

    Returns:
        Nats, not negative.
    """
    return 0.5 * (1 / effective_sample_size - 1 / draws)  # @eq-tv-bias


def binarise(grey: Float[Tensor, "*shape"], uniform: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Black-and-white images: a pixel is on with its grey value as probability.

    Args:
        grey: values in [0, 1].
        uniform: numbers in [0, 1), of the same shape.

    Returns:
        Zeros and ones.

    Raises:
        ValueError: if the shapes differ, so that pixels would share a coin, or the grey values are integers.
    """
    if uniform.shape != grey.shape or not grey.is_floating_point():
        found = f"{grey.dtype} {tuple(grey.shape)} and {tuple(uniform.shape)}"
        raise ValueError(f"expected grey values in [0, 1] and as many uniform numbers, got {found}")
    return (uniform < grey).to(grey.dtype)


# book/03-latent/20-training-vae.qmd § Objectives and instruments
def held_out_likelihood(
    draw_log_weights: Callable[[Tensor, StepContext, int], Tensor],
    examples: Tensor,
    draws: int,
    context: StepContext,
    rows: int = 2000,
) -> dict[str, float]:
    """Negative log-likelihood by importance sampling, averaged over examples, in nats per example.

    Args:
        draw_log_weights: gives the log-weights ``(k, n)`` of k draws for each of n examples.
        examples: ``(n, ...)``, held out.
        draws: K, for every example.
        context: source of noise, which is a function of its seed, of the example's place and of ``rows``.
        rows: number of decoder outputs in memory at once; another number cuts the draws, and hence the
            noise, in another way.

    Returns:
        ``nll``; ``nll_error``, its standard error over examples; ``nll_bias``, the first-order estimate of
        how much too large it is; ``smallest_sample_size``, the worst effective sample size.

    Raises:
        ValueError: if there are fewer than two examples.
    """
    if len(examples) < 2:
        raise ValueError(f"{len(examples)} examples have no standard error: take at least two")
    values, sizes = [], []
    group = min(len(examples), BLOCK * max(1, rows // (64 * BLOCK)))  # noise comes in whole blocks
    for first in range(0, len(examples), group):
        part = examples[first : first + group]
        noise = context.at(first, first + len(part))
        estimate = importance_log_likelihood(
            lambda k, part=part, noise=noise: draw_log_weights(part, noise, k),  # type: ignore[misc]
            draws,
            chunk=max(1, rows // len(part)),
        )
        values.append(-estimate.log_likelihood)
        sizes.append(estimate.effective_sample_size)
    nll, sample_size = torch.cat(values).double(), torch.cat(sizes).double()
    return {
        "nll": nll.mean().item(),
        "nll_error": (nll.std() / math.sqrt(len(nll))).item(),
        "nll_bias": importance_bias(sample_size, draws).mean().item(),
        "smallest_sample_size": sample_size.min().item(),
    }


# book/03-latent/20-training-vae.qmd § Objectives and instruments
class VaeTask:
    """Minus the ELBO of a VAE, with a warm-up of the KL term.

    Args:
        model: what is trained.
        held_out: examples to evaluate on, as the model is to see them.
        warmup: steps until the KL term has its full weight.
        prepare: turns a batch into what the model sees, for instance by ``binarise``.
    """

    metric = "negative_elbo"

    def __init__(
        self,
        model: VAE,
        held_out: Tensor,
        warmup: int = 0,
        prepare: Callable[[Tensor, StepContext], Tensor] = lambda x, context: x,
    ) -> None:
        self.model: nn.Module = model
        self.latent = model.encode(held_out[:1]).mean.shape[-1]
        self.held_out, self.warmup, self.prepare = held_out, warmup, prepare

    def terms_of(self, model: VAE, x: Tensor, context: StepContext) -> Mapping[str, Tensor]:
        """The objective of a VAE and its two terms, means over the batch, in nats."""
        terms = model(self.prepare(x, context), context.normal(self.latent))
        return {
            "loss": vae_loss(terms, kl_weight(context.step, self.warmup)),
            "reconstruction": terms.reconstruction.mean(),
            "kl": terms.kl.mean(),
        }

    def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
        """The objective and its two terms, means over the batch, in nats."""
        assert isinstance(self.model, VAE)
        return self.terms_of(self.model, batch[0], context)

    def evaluate(self, model: nn.Module, context: StepContext) -> dict[str, float]:
        """The ELBO on held-out examples, its rate, and the number of active units."""
        assert isinstance(model, VAE)
        return elbo_metrics(model, self.held_out.to(context.device), context)


def elbo_metrics(model: VAE, examples: Tensor, context: StepContext, rows: int = 1000) -> dict[str, float]:
    """Average of the one-sample ELBO and of its KL term, and the count of active units.

    Args:
        model: the VAE.
        examples: ``(n, ...)``, as the model is to see them.
        context: source of noise.
        rows: number of examples in memory at once.

    Returns:
        ``negative_elbo`` and ``kl`` in nats per example, ``active_units``.
    """
    bounds, rates, means = [], [], []
    with torch.no_grad():
        for first in range(0, len(examples), rows):
            part = examples[first : first + rows]
            posterior = model.encode(part)
            noise = context.at(first, first + len(part)).normal(posterior.mean.shape[-1])
            terms = model(part, noise)
            bounds.append(terms.elbo)
            rates.append(terms.kl)
            means.append(posterior.mean)
    return {
        "negative_elbo": -torch.cat(bounds).double().mean().item(),
        "kl": torch.cat(rates).double().mean().item(),
        "active_units": float(active_units(torch.cat(means)).sum()),
    }
