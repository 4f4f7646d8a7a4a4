"""Gradients of expectations: score function with baselines, pathwise, sticking the landing, implicit.

A surrogate has the value of the integrand and the gradient of an estimator; noise is an argument.
Draws lie on the first axis.
"""

from __future__ import annotations

# book/03-latent/19-reparameterisation.qmd § Surrogates
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from agm.latent.vae import VAE, DiagonalGaussian, standard_normal_log_prob


def score_surrogate(
    value: Float[Tensor, "*draws"],
    log_prob: Float[Tensor, "*draws"],
    baseline: Float[Tensor, "*draws"] | float = 0.0,
) -> Float[Tensor, "*draws"]:
    """A tensor equal to ``value`` whose gradient is the score-function estimator (@eq-rp-score-both).

    Args:
        value: f(z) at draws z that carry no gradient; may depend on parameters in other ways.
        log_prob: log q(z) at the same draws, differentiable in the parameters of q.
        baseline: what is subtracted from the value; must not depend on the draw itself.

    Returns:
        The surrogate, to be averaged.

    Raises:
        ValueError: if value and log_prob differ in shape, which broadcasting would hide.
    """
    if value.shape != log_prob.shape:
        shapes = f"{tuple(value.shape)} and {tuple(log_prob.shape)}"
        raise ValueError(f"value and log_prob: expected one shape, one entry for each draw, got {shapes}")
    weight = (value - baseline).detach()  # @eq-rp-baseline
    return value + weight * (log_prob - log_prob.detach())


def leave_one_out(value: Float[Tensor, "draws *batch"]) -> Float[Tensor, "draws *batch"]:
    """For every draw the mean of all others (Kool, van Hoof & Welling, 2019): an independent baseline.

    Args:
        value: f at K independent draws on the first axis, K >= 2.

    Returns:
        The baselines, without gradient.

    Raises:
        ValueError: if there is only one draw.
    """
    if value.ndim == 0 or value.shape[0] < 2:
        raise ValueError(f"value: leave-one-out needs two draws on axis 0, got shape {tuple(value.shape)}")
    value = value.detach()
    return (value.sum(0) - value) / (value.shape[0] - 1)  # @eq-rp-loo


def optimal_baseline(
    value: Float[Tensor, "draws *batch"], score_norm: Float[Tensor, "draws *batch"]
) -> Float[Tensor, "*batch"]:
    """The baseline of least variance, estimated from draws (@eq-rp-optimal).

    Args:
        value: f at draws that must not be those to which the baseline is then applied.
        score_norm: squared length of the score at the same draws.

    Returns:
        Mean of the values, weighted by the squared scores.
    """
    return ((value * score_norm).sum(0) / score_norm.sum(0)).detach()


def quadratic_variance(
    squared_mean: Float[Tensor, ""] | float, scale: Float[Tensor, ""] | float, size: int, estimator: str
) -> Float[Tensor, ""]:
    """Total variance of estimates of the gradient of E[|z|^2 / 2] by the mean of z ~ N(mean, scale^2 I).

    Args:
        squared_mean: squared length of the mean.
        scale: standard deviation.
        size: number of dimensions.
        estimator: "pathwise" (@eq-rp-quadratic-path), "score" (@eq-rp-quadratic-score) or "baseline", the
            score with its optimal baseline (@eq-rp-quadratic-baseline).

    Returns:
        The variance, summed over components.

    Raises:
        ValueError: if the estimator is unknown.
    """
    m, s, d = torch.as_tensor(squared_mean), torch.as_tensor(scale), size
    if estimator == "pathwise":
        return d * s**2
    if estimator == "score":
        return d * m**2 / (4 * s**2) + (d**2 + 4 * d + 2) / 2 * m + d * (d + 2) * (d + 4) / 4 * s**2
    if estimator == "baseline":
        return (d + 1) * m + d * (d + 2) / 2 * s**2
    raise ValueError(f"estimator: expected pathwise, score or baseline, got {estimator!r}")


# book/03-latent/19-reparameterisation.qmd § The ELBO, estimated in five ways
ElboEstimator = Literal["score", "leave_one_out", "pathwise", "analytic_kl", "stl"]


def elbo_surrogate(
    vae: VAE,
    x: Float[Tensor, "batch ..."],
    noise: Float[Tensor, "draws batch latent"],
    estimator: ElboEstimator,
    baseline: Float[Tensor, "*batch"] | float = 0.0,
) -> Float[Tensor, "draws batch"]:
    """Estimates of the ELBO whose gradients are estimates of its gradient, all of them unbiased.

    Args:
        vae: model with a Gaussian encoder and prior N(0, I).
        x: data.
        noise: standard Gaussian draws.
        estimator: "score", optionally with a ``baseline``; "leave_one_out", the score with the mean of the
            other draws; "pathwise"; "analytic_kl", pathwise with the rate in closed form; "stl", pathwise
            without the score term (@eq-rp-total).
        baseline: for "score" only, one number for each example, independent of the noise.

    Returns:
        The surrogates; average them and maximise.

    Raises:
        ValueError: if the estimator is unknown.
    """
    posterior = vae.encode(x)
    z = posterior.sample(noise)
    if estimator in ("score", "leave_one_out"):
        z = z.detach()
    reconstruction = vae.likelihood.log_prob(vae.decoder(z), x)
    if estimator == "analytic_kl":
        return reconstruction - posterior.kl()
    log_joint = reconstruction + standard_normal_log_prob(z)
    if estimator == "pathwise":
        return log_joint - posterior.log_prob(z)
    frozen = DiagonalGaussian(posterior.mean.detach(), posterior.log_variance.detach())
    log_weight = log_joint - frozen.log_prob(z)  # in "stl" z still carries the gradient of the path
    if estimator == "stl":
        return log_weight
    if estimator == "leave_one_out":
        baseline = leave_one_out(log_weight)
    elif estimator != "score":
        raise ValueError(f"estimator: unknown name {estimator!r}; see the docstring for the five known")
    return score_surrogate(log_weight, posterior.log_prob(z), baseline)


# book/03-latent/19-reparameterisation.qmd § Measuring variance
class GradientMoments(NamedTuple):
    """Mean and spread of repeated gradient estimates.

    Attributes:
        mean: of every component, float64.
        variance: total variance of one estimate, summed over components.
        repeats: number of estimates.
    """

    mean: Float[Tensor, " parameters"]
    variance: float
    repeats: int

    def squared_bias(self, exact: Float[Tensor, " parameters"]) -> float:
        """Squared distance of the mean from an exact gradient, corrected for the noise of the mean.

        Args:
            exact: the gradient, as one vector.

        Returns:
            An unbiased estimate, which may be negative if there is no bias.
        """
        return float(((self.mean - exact.double()) ** 2).sum()) - self.variance / self.repeats


def flat_gradient(objective: Float[Tensor, ""], parameters: Sequence[Tensor]) -> Float[Tensor, " parameters"]:
    """Gradient of a scalar by all parameters, as one float64 vector; unused parameters count as zero."""
    parts = torch.autograd.grad(objective, parameters, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for p, g in zip(parameters, parts, strict=True)
        ]
    ).double()


def gradient_moments(
    draw: Callable[[], Float[Tensor, ""]], parameters: Sequence[Tensor], repeats: int
) -> GradientMoments:
    """Mean and total variance of the gradients of a random surrogate.

    Args:
        draw: returns a fresh scalar surrogate each time.
        parameters: by which to differentiate.
        repeats: number of independent gradients, at least two.

    Returns:
        Their moments.

    Raises:
        ValueError: if there are fewer than two repeats.
    """
    if repeats < 2:
        raise ValueError(f"repeats: one gradient has no spread, got {repeats}")
    mean, squares = torch.zeros(sum(p.numel() for p in parameters), dtype=torch.float64), 0.0
    for count in range(1, repeats + 1):
        gradient = flat_gradient(draw(), parameters)
        change = gradient - mean
        mean = mean + change / count
        squares += float((change * (gradient - mean)).sum())
    return GradientMoments(mean, squares / (repeats - 1), repeats)


# book/03-latent/19-reparameterisation.qmd § Implicit gradients
def implicit_surrogate(
    sample: Float[Tensor, "*n"], cdf: Float[Tensor, "*n"], log_prob: Float[Tensor, "*n"]
) -> Float[Tensor, "*n"]:
    """A draw with the gradient that holds its quantile fixed (@eq-rp-implicit; Figurnov et al., 2018).

    Args:
        sample: draws, from whatever sampler, without gradient.
        cdf: distribution function at the draws, differentiable in the parameters.
        log_prob: log-density at the draws.

    Returns:
        The draws, now differentiable in the parameters.
    """
    return sample.detach() - (cdf - cdf.detach()) * torch.exp(-log_prob.detach())


_NODES, _WEIGHTS = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(120))


def gamma_slope(z: Float[Tensor, "*n"], shape: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Derivative of a gamma draw by its shape, at fixed quantile and unit rate (@eq-rp-gamma).

    Args:
        z: draws of Gamma(shape, 1), positive.
        shape: a, positive.

    Returns:
        The slopes, computed in float64.
    """
    z, a = torch.broadcast_tensors(z.double(), shape.double())
    side = torch.where(z < a, -1.0, 1.0).to(z)  # integrate over the tail that is the nearer one

    def log_ratio(s: Tensor) -> Tensor:  # t q(t) / (z q(z)) at t = z exp(side * s), at most 1
        return side * a * s - z * torch.expm1(side * s)

    low, high = torch.zeros_like(z), 60.0 / torch.minimum(a, torch.ones_like(a))
    for _ in range(60):  # bisection for the s beyond which nothing is left
        middle = (low + high) / 2
        beyond = log_ratio(middle) < -45.0
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    half = high / 2
    total = torch.zeros_like(z)
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        s = half * (1 + node)
        total += weight * torch.exp(log_ratio(s)) * (torch.log(z) + side * s - torch.digamma(a))
    return side * z * half * total


class _ImplicitGamma(torch.autograd.Function):
    @staticmethod
    def forward(ctx, shape: Tensor, sample: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(shape, sample)
        return sample.clone()

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        shape, sample = ctx.saved_tensors
        return grad_output * gamma_slope(sample, shape).to(grad_output.dtype), None


def implicit_gamma(shape: Float[Tensor, "*n"], sample: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Attach to draws of Gamma(shape, 1) their derivative by the shape.

    Args:
        shape: a, positive, differentiable.
        sample: draws from any sampler.

    Returns:
        The draws, differentiable in the shape.

    Raises:
        ValueError: if something is not positive.
    """
    if not bool((shape > 0).all() and (sample > 0).all()):
        raise ValueError("shape and sample: a gamma variable and its shape are positive")
    return _ImplicitGamma.apply(shape, sample)
