"""Chapter 5: Jensen gaps, their predictions and their decomposition, log-mean-exp, means and bounds."""

from __future__ import annotations

# book/01-foundations/05-jensens-inequality.qmd § Tests
import itertools
import math

import numpy as np
import pytest
import torch
from agm.divergences import coarse_grain, f_divergence
from agm.jensen import (
    gap_kernel,
    gap_of_averages,
    gap_parts,
    importance_weighted_bound,
    jensen_gap,
    log_gap,
    log_gap_predictions,
    log_mean_exp,
    power_mean,
    second_order_gap,
    spectral_flatness,
    weighted_mean,
)

CONVEX = {  # f, f', f''
    "square": (lambda t: t**2, lambda t: 2 * t, lambda t: torch.full_like(t, 2.0)),
    "exp": (torch.exp, torch.exp, torch.exp),
    "minus log": (lambda t: -torch.log(t), lambda t: -1 / t, lambda t: t**-2),
    "t log t": (lambda t: t * torch.log(t), lambda t: torch.log(t) + 1, lambda t: 1 / t),
    "reciprocal": (lambda t: 1 / t, lambda t: -(t**-2), lambda t: 2 * t**-3),
}
RANDOM = torch.Generator().manual_seed(0)
POINTS = 0.3 + 2 * torch.rand(200, 7, generator=RANDOM, dtype=torch.float64)
WEIGHTS = torch.softmax(torch.randn(200, 7, generator=RANDOM, dtype=torch.float64), -1)
LEGENDRE = tuple(torch.as_tensor(part) for part in np.polynomial.legendre.leggauss(20))


def gamma_logs(shape: float, n: int) -> torch.Tensor:
    """Logarithms of gamma draws with mean one."""
    draws = np.random.default_rng(1).gamma(shape, 1 / shape, n)
    return torch.log(torch.as_tensor(draws))


def gamma_gap(shape: float) -> float:
    """log E[X] - E[log X] for a gamma variable."""
    return math.log(shape) - torch.special.digamma(torch.tensor(shape, dtype=torch.float64)).item()


@pytest.mark.parametrize("name", CONVEX)
def test_gap_is_positive_and_its_three_forms_agree(name: str) -> None:
    function, derivative, _ = CONVEX[name]
    gap = jensen_gap(POINTS, function, WEIGHTS)
    assert (gap > 0).all()
    plain = (WEIGHTS * function(POINTS)).sum(-1) - function((WEIGHTS * POINTS).sum(-1))
    torch.testing.assert_close(gap, plain)
    torch.testing.assert_close(jensen_gap(POINTS, function, WEIGHTS, derivative), plain)
    torch.testing.assert_close(jensen_gap(POINTS, lambda t: -function(t), WEIGHTS), -plain)


@pytest.mark.parametrize("name", CONVEX)
def test_equality_only_for_constants(name: str) -> None:
    function, derivative, _ = CONVEX[name]
    same = torch.full((5,), 1.7, dtype=torch.float64)
    assert jensen_gap(same, function).item() == pytest.approx(0, abs=1e-15)
    spread = torch.tensor([1.7, 1.7, 1.7, 1.7, 1.8], dtype=torch.float64)
    assert jensen_gap(spread, function, derivative=derivative).item() > 1e-4
    ignored = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    assert jensen_gap(spread, function, ignored).item() == pytest.approx(0, abs=1e-15)


def test_straight_pieces_leave_no_gap() -> None:
    one_sided = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    assert jensen_gap(one_sided, torch.abs).item() == pytest.approx(0, abs=1e-15)
    assert jensen_gap(one_sided - 1, torch.abs).item() > 0.1


@pytest.mark.parametrize("name", CONVEX)
def test_gap_is_curvature_times_kernel(name: str) -> None:
    function, _, curvature = CONVEX[name]
    for points, weights in zip(POINTS[:20], WEIGHTS[:20], strict=True):
        mean = (weights * points).sum()
        edges = torch.cat([points, mean[None]]).sort().values
        middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
        nodes = (middle[:, None] + half[:, None] * LEGENDRE[0]).flatten()
        steps = (half[:, None] * LEGENDRE[1]).flatten()
        kernel = gap_kernel(points, nodes, weights)
        assert (kernel >= -1e-15).all()
        variance = (weights * (points - mean) ** 2).sum()
        torch.testing.assert_close((steps * kernel).sum(), variance / 2)
        torch.testing.assert_close(
            (steps * kernel * curvature(nodes)).sum(), jensen_gap(points, function, weights)
        )


@pytest.mark.parametrize("name", CONVEX)
def test_second_order_prediction_and_its_error_bound(name: str) -> None:
    function, derivative, curvature = CONVEX[name]
    gap = jensen_gap(POINTS, function, WEIGHTS, derivative)
    mean = (WEIGHTS * POINTS).sum(-1, keepdim=True)
    variance = (WEIGHTS * (POINTS - mean) ** 2).sum(-1)
    ends = torch.stack([POINTS.amin(-1), POINTS.amax(-1)])
    bends = curvature(ends)  # all five curvatures are monotone
    assert (gap >= bends.amin(0) * variance / 2 - 1e-12).all()
    assert (gap <= bends.amax(0) * variance / 2 + 1e-12).all()
    third = (
        torch.func.vmap(torch.func.grad(lambda t: curvature(t)))(ends.flatten()).view_as(ends).abs().amax(0)
    )
    bound = third / 6 * (WEIGHTS * (POINTS - mean).abs() ** 3).sum(-1)
    predicted = second_order_gap(POINTS, curvature, WEIGHTS)
    assert ((gap - predicted).abs() <= bound + 1e-12).all()
    near = mean + 1e-3 * (POINTS - mean)
    small = jensen_gap(near, function, WEIGHTS, derivative)
    torch.testing.assert_close(small, second_order_gap(near, curvature, WEIGHTS), rtol=2e-2, atol=1e-13)


def test_gap_of_the_logarithm_in_closed_form() -> None:
    for delta in (1e-7, 1e-4, 0.3, 0.6, 5.0):
        pair = torch.tensor([7 - delta, 7 + delta], dtype=torch.float64)
        exact = math.log1p(2 * math.sinh(delta / 2) ** 2)  # log cosh, without cancellation
        assert log_gap(pair).item() == pytest.approx(exact, rel=1e-8)
    logs = torch.log(POINTS)
    torch.testing.assert_close(log_gap(logs, WEIGHTS), jensen_gap(POINTS, lambda t: -torch.log(t), WEIGHTS))
    torch.testing.assert_close(log_gap(logs - 3000, WEIGHTS), log_gap(logs, WEIGHTS), rtol=1e-9, atol=1e-12)
    assert log_gap(torch.tensor([0.0, -math.inf])).item() == math.inf
    assert log_gap(torch.tensor([0.0, -math.inf]), torch.tensor([1.0, 0.0])).item() == 0


def test_gradients_are_finite_and_right() -> None:
    for scale in (1e-6, 0.1, 3.0):
        logs = (
            scale * torch.randn(2, 5, generator=torch.Generator().manual_seed(3)).double()
        ).requires_grad_()
        (gradient,) = torch.autograd.grad(log_gap(logs).sum(), logs)
        torch.testing.assert_close(gradient, torch.softmax(logs.detach(), -1) - 0.2, rtol=1e-6, atol=1e-12)
    with_zero = torch.tensor([[0.0, -math.inf], [0.0, 1.0]]).requires_grad_()
    log_gap(with_zero)[1].backward()
    assert torch.isfinite(with_zero.grad).all()


def test_log_mean_exp_at_the_extremes() -> None:
    assert log_mean_exp(torch.tensor([-2000.0, -2000.0])).item() == -2000
    assert log_mean_exp(torch.tensor([1000.0, -math.inf])).item() == pytest.approx(1000 - math.log(2))
    assert log_mean_exp(torch.tensor([-math.inf, -math.inf])).item() == -math.inf
    values, repeated = torch.tensor([0.3, -1.0]).double(), torch.tensor([0.3, 0.3, 0.3, -1.0]).double()
    torch.testing.assert_close(
        log_mean_exp(values, torch.tensor([3.0, 1.0]).double()), log_mean_exp(repeated)
    )
    unused = torch.tensor([0.3, math.inf]).double()
    assert log_mean_exp(unused, torch.tensor([2.0, 0.0]).double()).item() == pytest.approx(0.3)


def test_gap_is_the_integrated_variance_along_the_tilt() -> None:
    logs = torch.log(POINTS)
    s = (LEGENDRE[0] + 1) / 2
    tilted = torch.softmax(torch.log(WEIGHTS)[..., None, :] + s[:, None] * logs[..., None, :], -1)
    centre = (tilted * logs[..., None, :]).sum(-1, keepdim=True)
    variance = (tilted * (logs[..., None, :] - centre) ** 2).sum(-1)
    integral = (LEGENDRE[1] / 2 * (1 - s) * variance).sum(-1)
    gap = log_gap(logs, WEIGHTS)
    torch.testing.assert_close(integral, gap)
    width = logs.amax(-1) - logs.amin(-1)
    assert (gap <= width**2 / 8).all()


def test_predictions_are_the_two_half_variances() -> None:
    predictions = log_gap_predictions(torch.log(POINTS), WEIGHTS)
    minus_log_curvature = CONVEX["minus log"][2]
    torch.testing.assert_close(predictions.linear, second_order_gap(POINTS, minus_log_curvature, WEIGHTS))
    square = CONVEX["square"][0]
    torch.testing.assert_close(predictions.logarithmic, jensen_gap(torch.log(POINTS), square, WEIGHTS) / 2)
    normal = torch.special.ndtri((torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000)
    assert log_gap(0.8 * normal).item() == pytest.approx(
        log_gap_predictions(0.8 * normal).logarithmic.item(), rel=1e-3
    )


def test_power_means_increase_and_have_their_names() -> None:
    orders = (-math.inf, -3.0, -1.0, -1e-6, 0.0, 1e-6, 0.5, 1.0, 2.0, 50.0, math.inf)
    means = torch.stack([power_mean(POINTS, order, WEIGHTS) for order in orders])
    assert (means[1:] >= means[:-1] * (1 - 1e-9)).all()
    torch.testing.assert_close(means[2], 1 / (WEIGHTS / POINTS).sum(-1))
    torch.testing.assert_close(means[4], (POINTS**WEIGHTS).prod(-1))
    torch.testing.assert_close(means[7], (WEIGHTS * POINTS).sum(-1))
    torch.testing.assert_close(means[0], POINTS.amin(-1))
    torch.testing.assert_close(means[-1], POINTS.amax(-1))


def test_flatness_of_known_spectra() -> None:
    assert spectral_flatness(torch.full((40,), -3.0)).item() == pytest.approx(1)
    tone = torch.full((40,), -30.0).double()
    tone[7] = 0.0
    assert spectral_flatness(tone).item() == pytest.approx(40 * math.exp(-30 * 39 / 40), rel=1e-6)


def test_parts_add_up_for_every_function() -> None:
    values = POINTS.flatten()
    groups = torch.arange(len(values)) % 11
    for function, _, _ in CONVEX.values():
        within, between = gap_parts(values, groups, function)
        torch.testing.assert_close(within + between, jensen_gap(values, function))
        assert within > 0
        assert between > 0
    within, between = gap_parts(values, groups, CONVEX["square"][0])
    variances = torch.stack([values[groups == g].var(correction=0) for g in range(11)])
    shares = torch.bincount(groups).double() / len(values)
    torch.testing.assert_close(within, (shares * variances).sum())


def test_divergence_lost_in_a_channel_is_the_gap_within_its_cells() -> None:
    p, q = WEIGHTS[:2]
    cells = torch.tensor([0, 0, 1, 1, 1, 2, 2])
    lost = f_divergence(p, q, "kl") - f_divergence(coarse_grain(p, cells, 3), coarse_grain(q, cells, 3), "kl")
    t_log_t = CONVEX["t log t"][0]
    gaps = torch.stack([jensen_gap((p / q)[cells == c], t_log_t, q[cells == c]) for c in range(3)])
    torch.testing.assert_close(lost, (coarse_grain(q, cells, 3) * gaps).sum())
    torch.testing.assert_close(f_divergence(p, q, "kl"), jensen_gap(p / q, t_log_t, q))


@pytest.mark.parametrize("name", CONVEX)
def test_gap_of_averages_falls_and_biases_the_plug_in_gap(name: str) -> None:
    function, values = CONVEX[name][0], torch.tensor([0.4, 1.0, 2.5], dtype=torch.float64)
    chances = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    gaps = []
    for n in range(1, 7):
        outcomes = torch.tensor(list(itertools.product(range(3), repeat=n)))
        probability, samples = chances[outcomes].prod(-1), values[outcomes]
        gaps.append(jensen_gap(samples.mean(-1), function, probability))
        plug_in = (probability * jensen_gap(samples, function)).sum()
        torch.testing.assert_close(plug_in, gaps[0] - gaps[-1], atol=1e-12, rtol=1e-9)
    assert all(later < earlier for earlier, later in itertools.pairwise(gaps))


def test_importance_weighted_bound_with_gamma_weights() -> None:
    shape, logs = 0.7, gamma_logs(0.7, 400_000)
    previous = -math.inf
    for size in (1, 2, 5, 20):
        bound = importance_weighted_bound(logs, size)
        exact = -gamma_gap(shape * size)
        assert abs(bound.value.item() - exact) < 4 * bound.standard_error.item()
        assert bound.value.item() > previous
        previous = bound.value.item()
        gap = gap_of_averages(logs, size, torch.zeros((), dtype=torch.float64))
        assert abs(gap.value.item() + exact) < 4 * gap.standard_error.item()
        if size > 1:
            assert gap.standard_error < bound.standard_error
    assert importance_weighted_bound(logs, 1).value.item() == pytest.approx(logs.mean().item())


def test_evidence_lower_bound_on_a_finite_model() -> None:
    joint, q = 0.3 * WEIGHTS[0], WEIGHTS[1]
    evidence, posterior = torch.log(joint.sum()), joint / joint.sum()
    gap = log_gap(torch.log(joint / q), q)
    torch.testing.assert_close(evidence - (q * torch.log(joint / q)).sum(), gap)
    torch.testing.assert_close(gap, f_divergence(q, posterior, "kl"))
    assert log_gap(torch.log(joint / posterior), posterior).item() == pytest.approx(0, abs=1e-15)


def test_shapes_broadcast() -> None:
    assert log_gap(torch.zeros(3, 4, 5)).shape == (3, 4)
    assert gap_kernel(POINTS, torch.linspace(0, 2, 9).double()).shape == (200, 9)
    assert importance_weighted_bound(torch.zeros(3, 100), 7).value.shape == (3,)
    assert power_mean(POINTS.float(), 0.5).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weighted_mean(torch.zeros(3, 0)), "n >= 1"),
        (lambda: weighted_mean(torch.ones(2), torch.tensor([1.0, -1.0])), "non-negative weights"),
        (lambda: log_mean_exp(torch.ones(2), torch.zeros(2)), "positive sum"),
        (lambda: power_mean(torch.tensor([1.0, 0.0]), 1.0), "positive values"),
        (lambda: gap_parts(torch.ones(3), torch.zeros(2, dtype=torch.long), torch.exp), "one per value"),
        (lambda: importance_weighted_bound(torch.zeros(5), 3), "two groups"),
        (lambda: importance_weighted_bound(torch.zeros(5), 0), "two groups"),
    ],
)
def test_bad_input_gives_a_clear_error(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
