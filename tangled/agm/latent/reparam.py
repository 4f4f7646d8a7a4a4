"""Gradients of expectations: score function with baselines, pathwise, sticking the landing.

A surrogate has the value of the integrand and the gradient of an estimator; noise is an argument.
Draws lie on the first axis.
"""

from __future__ import annotations

# book/03-latent/19-reparameterisation.qmd § Surrogates
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

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
        value: f(z) at draws z that carry no gradient, finite; may depend on parameters in other ways.
        log_prob: log q(z) at the same draws, differentiable in the parameters of q.
        baseline: what is subtracted from the value; must not depend on the draw itself.

    Returns:
        The surrogate, to be averaged.

    Raises:
        TypeError: if value and log_prob are not tensors.
        ValueError: if value and log_prob differ in shape, or the baseline has another one, which
            broadcasting would hide.
    """
    if not (isinstance(value, Tensor) and isinstance(log_prob, Tensor)):
        raise TypeError("value and log_prob: expected tensors with one entry for each draw")
    if value.shape != log_prob.shape:
        shapes = f"{tuple(value.shape)} and {tuple(log_prob.shape)}"
        raise ValueError(f"value and log_prob: expected one shape, one entry for each draw, got {shapes}")
    value = value if value.is_floating_point() else value.to(log_prob.dtype)
    subtracted = torch.as_tensor(baseline, device=value.device)
    try:
        weight = (value - subtracted.expand(value.shape)).detach()  # @eq-rp-baseline
    except RuntimeError:
        shapes = f"{tuple(value.shape)} without enlarging it, got {tuple(subtracted.shape)}"
        raise ValueError(f"baseline: expected a shape that fits the value's {shapes}") from None
    return value + weight * (log_prob - log_prob.detach())


def leave_one_out(value: Float[Tensor, "draws *batch"]) -> Float[Tensor, "draws *batch"]:
    """For every draw the mean of all others (Kool, van Hoof & Welling, 2019): an independent baseline.

    Args:
        value: f at K independent draws on the first axis, K >= 2.

    Returns:
        The baselines, without gradient.

    Raises:
        TypeError: if the value is not a floating-point tensor.
        ValueError: if there is only one draw.
    """
    if not (isinstance(value, Tensor) and value.is_floating_point()):
        raise TypeError("value: expected a floating-point tensor with the draws on axis 0")
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

    Raises:
        ValueError: if the two differ in shape, or no draw has a score other than zero.
    """
    if value.shape != score_norm.shape or value.ndim == 0:
        shapes = f"{tuple(value.shape)} and {tuple(score_norm.shape)}"
        raise ValueError(f"value and score_norm: expected one shape, draws on axis 0, got {shapes}")
    if not bool((score_norm >= 0).all() and (score_norm.sum(0) > 0).all()):
        raise ValueError("score_norm: expected squared lengths, not all of them zero")
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
        ValueError: if the estimator is unknown, or a number out of range.
    """
    m, s, d = torch.as_tensor(squared_mean), torch.as_tensor(scale), size
    if not bool((m >= 0).all() and (s > 0).all()) or d < 1:
        raise ValueError("expected squared_mean >= 0, scale > 0 and size >= 1")
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
        ValueError: if the estimator is unknown, takes no baseline but is given one, or if the noise has not
            one vector for each draw and example (one for all of them would be broadcast).
    """
    if estimator not in get_args(ElboEstimator):
        raise ValueError(f"estimator: unknown name {estimator!r}; see the docstring for the five known")
    if estimator != "score" and (isinstance(baseline, Tensor) or baseline != 0.0):
        raise ValueError(f'baseline: only "score" takes one, not {estimator!r}')
    posterior = vae.encode(x)
    if noise.ndim != posterior.mean.ndim + 1 or noise.shape[1:] != posterior.mean.shape:
        shapes = f"(draws, {', '.join(map(str, posterior.mean.shape))}), got {tuple(noise.shape)}"
        raise ValueError(f"noise: expected shape {shapes}")
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

        Raises:
            ValueError: if the exact gradient has another shape.
        """
        if exact.shape != self.mean.shape:
            raise ValueError(f"exact: expected {tuple(self.mean.shape)}, got {tuple(exact.shape)}")
        return float(((self.mean - exact.double()) ** 2).sum()) - self.variance / self.repeats


def flat_gradient(objective: Float[Tensor, ""], parameters: Sequence[Tensor]) -> Float[Tensor, " parameters"]:
    """Gradient of a scalar by all parameters, as one float64 vector; unused parameters count as zero.

    Raises:
        ValueError: if the objective is no scalar, or nothing in it has a gradient.
    """
    if objective.ndim or not objective.requires_grad or not parameters:
        found = f"shape {tuple(objective.shape)}, requires_grad {objective.requires_grad}, {len(parameters)}"
        raise ValueError(f"expected a differentiable scalar and some parameters, got {found} parameters")
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
    mean, squares = torch.zeros((), dtype=torch.float64), 0.0
    for count in range(1, repeats + 1):
        gradient = flat_gradient(draw(), parameters).cpu()
        change = gradient - mean
        mean = mean + change / count
        squares += float((change * (gradient - mean)).sum())
    return GradientMoments(mean, squares / (repeats - 1), repeats)
