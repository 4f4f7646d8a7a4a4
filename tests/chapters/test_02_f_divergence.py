"""Chapter 2: f-divergences, their generators and their estimators."""

from __future__ import annotations

# book/01-foundations/02-f-divergence.qmd § Tests
import itertools
import math
from dataclasses import replace

import pytest
import torch
from agm.convex_generators import GENERATORS, alpha_generator, get_generator
from agm.divergence_estimators import bias_corrected, delta_bias, frequencies, jackknife, monte_carlo, plug_in
from agm.divergences import (
    coarse_grain,
    f_divergence,
    gaussian_alpha,
    gaussian_kl,
    gaussian_pearson,
    gaussian_renyi,
    gaussian_squared_hellinger,
    renyi_divergence,
)

ALPHAS = (-1.5, -1.0, 0.0, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0)
ALL = (*GENERATORS.values(), *(alpha_generator(order) for order in ALPHAS))
SMOOTH = [generator for generator in ALL if generator.second_derivative is not None]
by_name = {"ids": lambda generator: generator.name}


def random_distributions(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.softmax(
        1.5 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double(), -1
    )


def spd(*shape: int, seed: int) -> torch.Tensor:
    root = torch.randn(*shape, shape[-1], generator=torch.Generator().manual_seed(seed)).double()
    return root @ root.mT + torch.eye(shape[-1]).double()


def kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return (p * torch.log(p / q)).sum(-1)


P, Q = random_distributions(200, 6, seed=1), random_distributions(200, 6, seed=2)


def test_zoo_agrees_with_the_sums_of_the_table() -> None:
    middle = (P + Q) / 2
    table = {
        "kl": kl(P, Q),
        "reverse_kl": kl(Q, P),
        "jensen_shannon": (kl(P, middle) + kl(Q, middle)) / 2,
        "squared_hellinger": ((P.sqrt() - Q.sqrt()) ** 2).sum(-1) / 2,
        "pearson": ((P - Q) ** 2 / Q).sum(-1),
        "neyman": ((P - Q) ** 2 / P).sum(-1),
        "le_cam": ((P - Q) ** 2 / (P + Q)).sum(-1) / 2,
        "total_variation": (P - Q).abs().sum(-1) / 2,
    }
    assert set(table) == set(GENERATORS)
    for name, expected in table.items():
        torch.testing.assert_close(f_divergence(P, Q, name), expected)


def test_alpha_family_meets_the_zoo() -> None:
    known = {
        1.0: ("kl", 1.0),
        0.0: ("reverse_kl", 1.0),
        0.5: ("squared_hellinger", 4.0),
        2.0: ("pearson", 0.5),
        -1.0: ("neyman", 0.5),
    }
    for order, (name, factor) in known.items():
        torch.testing.assert_close(
            f_divergence(P, Q, alpha_generator(order)), factor * f_divergence(P, Q, name)
        )
    for order in (-0.7, 0.4, 2.5):
        expected = ((P**order * Q ** (1 - order)).sum(-1) - 1) / (order * (order - 1))
        torch.testing.assert_close(f_divergence(P, Q, alpha_generator(order)), expected)


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_generator_is_consistent(generator) -> None:
    t = torch.logspace(-3, 3, 301, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(generator.function(t).sum(), t, create_graph=True)
    torch.testing.assert_close(slope, generator.derivative(t), rtol=1e-7, atol=1e-9)
    if generator.second_derivative is not None:
        (bend,) = torch.autograd.grad(slope.sum(), t)
        torch.testing.assert_close(bend, generator.second_derivative(t), rtol=1e-6, atol=1e-9)
    one = torch.ones((), dtype=torch.float64)
    assert generator.function(one).item() == pytest.approx(0, abs=1e-15)
    assert (generator.centred(t.detach()) >= -1e-12).all()
    tiny, huge = torch.tensor(1e-100, dtype=torch.float64), torch.tensor(1e100, dtype=torch.float64)
    ends = (
        (generator.function(tiny), generator.value_at_zero),
        (generator.function(huge) / huge, generator.slope_at_infinity),
        (generator.derivative(tiny), generator.derivative_at_zero),
    )
    for value, limit in ends:
        if math.isfinite(limit):
            assert value.item() == pytest.approx(limit, rel=1e-9, abs=1e-9)
        else:
            assert value.item() * math.copysign(1, limit) > 50


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_conjugate_is_the_supremum(generator) -> None:
    t = torch.cat([torch.tensor([0.0, 1.0]).double(), torch.logspace(-8, 6, 400_001, dtype=torch.float64)])
    values = torch.cat([torch.tensor([generator.value_at_zero]).double(), generator.function(t[1:])])
    upper = min(generator.slope_at_infinity, 3.0) - 0.01
    slopes = torch.linspace(-4, upper, 60, dtype=torch.float64)
    expected = torch.stack([(y * t - values).max() for y in slopes])
    torch.testing.assert_close(generator.conjugate(slopes), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_conjugate_leaves_its_domain_loudly(generator) -> None:
    if math.isfinite(generator.slope_at_infinity):
        beyond = torch.tensor(
            [generator.slope_at_infinity + 1e-6, generator.slope_at_infinity + 5],
            dtype=torch.float64,
            requires_grad=True,
        )
        values = generator.conjugate(beyond)
        assert (values == math.inf).all()
        assert torch.isfinite(torch.autograd.grad(values.sum(), beyond)[0]).all()
    if math.isfinite(generator.derivative_at_zero):
        before = torch.tensor([generator.derivative_at_zero - 1.0], dtype=torch.float64)
        assert generator.conjugate(before).item() == -generator.value_at_zero


@pytest.mark.parametrize("generator", SMOOTH, **by_name)
def test_young_equality_at_the_tangent(generator) -> None:
    t = torch.logspace(-2, 2, 50, dtype=torch.float64)
    slope = generator.derivative(t)
    torch.testing.assert_close(
        generator.conjugate(slope), t * slope - generator.function(t), rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_theorems_on_random_distributions(generator) -> None:
    value = f_divergence(P, Q, generator)
    assert (value > 0).all()
    torch.testing.assert_close(f_divergence(P, P, generator), torch.zeros(200).double(), atol=1e-12, rtol=0)
    weight = torch.rand(200, 1, generator=torch.Generator().manual_seed(5)).double()
    mixture = [weight * first + (1 - weight) * first.roll(1, 0) for first in (P, Q)]
    bound = weight[:, 0] * value + (1 - weight[:, 0]) * value.roll(1, 0)
    assert (f_divergence(*mixture, generator) <= bound + 1e-12).all()
    channel = random_distributions(6, 4, seed=6)
    assert (f_divergence(P @ channel, Q @ channel, generator) <= value + 1e-12).all()
    permutation = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(f_divergence(P[:, permutation], Q[:, permutation], generator), value)
    assert (value <= generator.largest_value).all()
    if generator.symmetric:
        torch.testing.assert_close(f_divergence(Q, P, generator), value)


@pytest.mark.parametrize("order", ALPHAS)
def test_adjoint_has_complementary_order(order: float) -> None:
    first, second = alpha_generator(order), alpha_generator(1 - order)
    torch.testing.assert_close(f_divergence(P, Q, first), f_divergence(Q, P, second))
    assert first.value_at_zero == pytest.approx(second.slope_at_infinity)


def test_sufficient_statistic_loses_nothing() -> None:
    ratio = torch.tensor([0.5, 0.5, 2.0, 2.0, 1.25]).double()
    q = torch.tensor([0.1, 0.2, 0.05, 0.15, 0.5]).double()
    p, q = ratio * q / (ratio * q).sum(), q
    cell_of = torch.tensor([0, 0, 1, 1, 2])
    for generator in ALL:
        fine, coarse = (
            f_divergence(p, q, generator),
            f_divergence(coarse_grain(p, cell_of, 3), coarse_grain(q, cell_of, 3), generator),
        )
        torch.testing.assert_close(fine, coarse)


def test_inequalities_between_divergences() -> None:
    d = {name: f_divergence(P, Q, name) for name in GENERATORS}
    h, tv = d["squared_hellinger"], d["total_variation"]
    slack = {
        "Pinsker": (d["kl"] / 2).sqrt() - tv,
        "Bretagnolle-Huber": (1 - torch.exp(-d["kl"])).sqrt() - tv,
        "Hellinger below": tv - h,
        "Hellinger above": (h * (2 - h)).sqrt() - tv,
        "KL and Pearson": torch.log1p(d["pearson"]) - d["kl"],
        "Le Cam below": h - d["le_cam"] / 2,
        "Le Cam above": d["le_cam"] - h,
        "Jensen-Shannon": math.log(2) - d["jensen_shannon"],
    }
    for name, values in slack.items():
        assert (values >= -1e-12).all(), name


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_zeros_follow_the_conventions(generator) -> None:
    p = torch.tensor([[0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]).double()
    q = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.0, 1.0, 0.0, 0.0]]).double()
    half = 0.25 * generator.function(torch.tensor(2.0).double()).item()
    assert f_divergence(p, q, generator).tolist() == pytest.approx(
        [half + 0.25 * generator.value_at_zero, generator.largest_value]
    )


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_gradients_are_finite_at_zeros_and_right_elsewhere(generator) -> None:
    p = torch.tensor([0.5, 0.5, 0.0, 0.0]).double().requires_grad_()
    q = torch.tensor([0.5, 0.25, 0.25, 0.0]).double().requires_grad_()
    f_divergence(p, q, generator).backward()
    assert torch.isfinite(p.grad).all() and torch.isfinite(q.grad).all()
    logits = torch.randn(5, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    target = random_distributions(5, seed=8)
    model = torch.softmax(logits, -1)
    f_divergence(model, target, generator).backward()
    cost = generator.derivative(model / target).detach()
    expected = model * (cost - (model * cost).sum())
    torch.testing.assert_close(logits.grad, expected.detach())


@pytest.mark.parametrize("generator", SMOOTH, **by_name)
def test_locally_a_multiple_of_chi_squared(generator) -> None:
    q = random_distributions(7, seed=3)
    h = q * (random_distributions(7, seed=4) - 0.2)
    h = h - q * h.sum()
    curvature = generator.second_derivative(torch.ones(()).double()).item()
    expected = 0.5 * curvature * (h**2 / q).sum().item()
    step = 1e-3
    assert f_divergence(q + step * h, q, generator).item() / step**2 == pytest.approx(expected, rel=1e-2)


def test_renyi_orders_limits_and_derivative() -> None:
    orders = [0.05, 0.3, 0.7, 0.999999, 1.0, 1.000001, 1.7, 4.0, 50.0, math.inf]
    values = torch.stack([renyi_divergence(P, Q, order) for order in orders])
    assert (values[1:] >= values[:-1] - 1e-9).all()
    torch.testing.assert_close(values[3], values[4], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(values[-1], torch.log(P / Q).amax(-1))
    torch.testing.assert_close(
        renyi_divergence(P, Q, 0.5), -2 * torch.log1p(-f_divergence(P, Q, "squared_hellinger"))
    )
    torch.testing.assert_close(renyi_divergence(P, Q, 2.0), torch.log1p(f_divergence(P, Q, "pearson")))
    order, step = 0.4, 1e-5
    slope = (renyi_divergence(P, Q, order + step) - renyi_divergence(P, Q, order - step)) / (2 * step)
    tilted = torch.softmax(order * torch.log(P) + (1 - order) * torch.log(Q), -1)
    torch.testing.assert_close(slope, kl(tilted, P) / (1 - order) ** 2, rtol=1e-5, atol=1e-7)
    p, q = torch.tensor([0.5, 0.5]).double(), torch.tensor([1.0, 0.0]).double()
    assert renyi_divergence(p, q, 2.0).item() == math.inf
    assert renyi_divergence(q, p, 0.0).item() == pytest.approx(math.log(2))
    assert renyi_divergence(p, p.roll(0), 0.5).item() == pytest.approx(0, abs=1e-12)


def test_renyi_with_zeros_grows_to_infinity_at_order_one() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2, 0.0]).double(), torch.tensor([0.4, 0.0, 0.1, 0.5]).double()
    orders = (0.0, 0.2, 0.49, 0.5, 0.9, 0.999, 1 - 1e-9, 1.0, 2.0)
    values = torch.stack([renyi_divergence(p, q, order) for order in orders])
    assert (values[1:] >= values[:-1]).all() and values[-3] > 1e8 and values[-2:].isinf().all()
    order, step, both = 0.6, 1e-5, (p > 0) & (q > 0)
    slope = (renyi_divergence(p, q, order + step) - renyi_divergence(p, q, order - step)) / (2 * step)
    tilted = torch.softmax(order * torch.log(p[both]) + (1 - order) * torch.log(q[both]), -1)
    torch.testing.assert_close(slope, kl(tilted, p[both]) / (1 - order) ** 2)  # @eq-fd-renyi-derivative


def test_gaussian_closed_forms_against_quadrature() -> None:
    x = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    step = 60 / 60_000
    moments = [torch.tensor(m, dtype=torch.float64) for m in ([0.8], [[0.7]], [-0.1], [[1.3]])]
    mean_p, variance_p, mean_q, variance_q = moments
    log_p = torch.distributions.Normal(mean_p, variance_p[0].sqrt()).log_prob(x)
    log_q = torch.distributions.Normal(mean_q, variance_q[0].sqrt()).log_prob(x)
    torch.testing.assert_close(gaussian_kl(*moments), (log_p.exp() * (log_p - log_q)).sum() * step)
    for order in (-0.5, 0.3, 0.5, 1.7, 2.0):
        overlap = torch.exp(order * log_p + (1 - order) * log_q).sum() * step
        torch.testing.assert_close(gaussian_alpha(*moments, order), (overlap - 1) / (order * (order - 1)))
        if order > 0:
            torch.testing.assert_close(gaussian_renyi(*moments, order), torch.log(overlap) / (order - 1))
    torch.testing.assert_close(gaussian_alpha(*moments, 1.0), gaussian_kl(*moments))
    torch.testing.assert_close(gaussian_alpha(*moments, 0.0), gaussian_kl(*moments[2:], *moments[:2]))


def test_gaussians_with_full_covariance() -> None:
    mp, mq = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(7)).double()
    cp, cq = spd(5, 3, seed=8), spd(5, 3, seed=9)
    as_torch = torch.distributions.kl_divergence(
        torch.distributions.MultivariateNormal(mp, cp), torch.distributions.MultivariateNormal(mq, cq)
    )
    torch.testing.assert_close(gaussian_kl(mp, cp, mq, cq), as_torch)
    torch.testing.assert_close(gaussian_renyi(mp, cp, mq, cq, 1 - 1e-6), as_torch, rtol=1e-4, atol=1e-4)
    coefficient = torch.exp(
        -0.125 * torch.einsum("bi,bij,bj->b", mp - mq, torch.linalg.inv((cp + cq) / 2), mp - mq)
    )
    coefficient *= (torch.det(cp) * torch.det(cq)) ** 0.25 / torch.det((cp + cq) / 2) ** 0.5
    torch.testing.assert_close(gaussian_squared_hellinger(mp, cp, mq, cq), 1 - coefficient)
    # Any common invertible linear map leaves every divergence unchanged.
    linear = torch.randn(3, 3, generator=torch.Generator().manual_seed(10)).double()
    mapped = [mp @ linear.T, linear @ cp @ linear.T, mq @ linear.T, linear @ cq @ linear.T]
    for order in (0.5, 1.0, 1.2):
        torch.testing.assert_close(gaussian_alpha(*mapped, order), gaussian_alpha(mp, cp, mq, cq, order))


def test_gaussian_divergence_is_infinite_when_tails_are_too_heavy() -> None:
    zero, one = torch.zeros(1).double(), torch.eye(1).double()
    assert gaussian_pearson(zero, 2.0 * one, zero, one).item() == math.inf
    wide = (1.9 * one).requires_grad_()
    value = gaussian_pearson(zero, wide, zero, one)
    assert value.item() == pytest.approx(1 / math.sqrt(1.9 * 0.1) - 1)
    assert torch.isfinite(torch.autograd.grad(value, wide)[0]).all()


def all_samples(p: torch.Tensor, n: int) -> list[tuple[float, torch.Tensor]]:
    """Every histogram of n draws, with its probability."""
    outcomes = []
    for counts in itertools.product(range(n + 1), repeat=len(p)):
        if sum(counts) == n:
            ways = math.factorial(n) / math.prod(math.factorial(count) for count in counts)
            outcomes.append(
                (
                    ways * math.prod(float(x) ** c for x, c in zip(p, counts, strict=True)),
                    torch.tensor(counts),
                )
            )
    return outcomes


def test_plug_in_bias_by_exact_enumeration() -> None:
    p, q, n = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.5, 0.3]).double(), 20
    for name in ("jensen_shannon", "squared_hellinger", "total_variation", "le_cam"):
        truth = f_divergence(p, q, name).item()
        pairs = list(itertools.product(all_samples(p, n), all_samples(q, n)))
        weights = torch.tensor([wp * wq for (wp, _), (wq, _) in pairs]).double()
        counts_p, counts_q = (torch.stack([pair[i][1] for pair in pairs]) for i in (0, 1))
        assert weights.sum().item() == pytest.approx(1)
        bias = (weights * plug_in(counts_p, counts_q, name)).sum().item() - truth
        assert bias > 0
        if name != "total_variation":  # a kink defeats both corrections
            after_jackknife = (weights * jackknife(counts_p, counts_q, name).value).sum().item() - truth
            assert abs(after_jackknife) < 0.5 * bias
            assert delta_bias(p, q, n, n, name).item() == pytest.approx(bias, rel=0.35)
            after_correction = (weights * bias_corrected(counts_p, counts_q, name)).sum().item() - truth
            assert abs(after_correction) < 0.5 * bias


def test_jackknife_equals_literal_leave_one_out() -> None:
    first, second = [0, 0, 1, 2, 2, 2, 1], [0, 1, 1, 2, 0]

    def value(xs: list[int], ys: list[int]) -> float:
        return plug_in(*(torch.bincount(torch.tensor(z), minlength=3) for z in (xs, ys)), "le_cam").item()

    full, n, m = value(first, second), len(first), len(second)
    without_first = [value(first[:i] + first[i + 1 :], second) for i in range(n)]
    without_second = [value(first, second[:i] + second[i + 1 :]) for i in range(m)]
    mean_first, mean_second = sum(without_first) / n, sum(without_second) / m
    expected = full - (n - 1) * (mean_first - full) - (m - 1) * (mean_second - full)
    variance = (n - 1) / n * sum((v - mean_first) ** 2 for v in without_first)
    variance += (m - 1) / m * sum((v - mean_second) ** 2 for v in without_second)
    counts = [torch.bincount(torch.tensor(z), minlength=3) for z in (first, second)]
    estimate = jackknife(*counts, "le_cam")
    assert estimate.value.item() == pytest.approx(expected)
    assert estimate.standard_error.item() == pytest.approx(math.sqrt(variance))


def test_miller_correction_is_the_special_case() -> None:
    p = random_distributions(9, seed=12)
    assert delta_bias(p, p, 50, 10**12, "kl").item() == pytest.approx((9 - 1) / (2 * 50), rel=1e-6)


@pytest.mark.parametrize("drawn_from", ["p", "q"])
def test_monte_carlo_is_unbiased(drawn_from: str) -> None:
    p, q = random_distributions(2, 5, seed=13)
    draws = torch.multinomial(
        p if drawn_from == "p" else q, 40_000, True, generator=torch.Generator().manual_seed(2)
    )
    log_ratio = torch.log(p / q)[draws]
    for name in GENERATORS:
        for centred in (True, False):
            estimate = monte_carlo(log_ratio, name, drawn_from=drawn_from, centred=centred)
            error = (estimate.value - f_divergence(p, q, name)).abs().item()
            assert error < 5 * estimate.standard_error.item()
        weights = p if drawn_from == "p" else q
        terms = get_generator(name).centred(p / q) / (p / q if drawn_from == "p" else 1)
        torch.testing.assert_close((weights * terms).sum(), f_divergence(p, q, name))


def test_draws_miss_what_they_cannot_reach() -> None:
    p, q = torch.tensor([0.75, 0.25, 0.0]).double(), torch.tensor([0.25, 0.25, 0.5]).double()
    draws = torch.log(p / q)[[0, 0, 0, 1]]  # p itself, as a sample
    for name, price in (("kl", 0.0), ("jensen_shannon", math.log(2) / 2), ("pearson", 1.0)):
        generator = get_generator(name)
        for centred, missing in ((False, price), (True, price + generator.derivative_at_one)):
            found = monte_carlo(draws, name, drawn_from="p", centred=centred).value
            torch.testing.assert_close(found, f_divergence(p, q, name) - missing * q[2])  # @eq-fd-missing


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_perspective_needs_no_ratio(generator) -> None:
    plain = replace(generator, summand=None)
    torch.testing.assert_close(generator.perspective(P, Q), plain.perspective(P, Q), rtol=1e-9, atol=1e-12)
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 1e-30])
    for first, second, price in ((p, q, generator.slope_at_infinity), (q, p, generator.value_at_zero)):
        value = f_divergence(first, second, plain)
        assert value > 0 and (math.isinf(price) or torch.isfinite(value))
        for tensor in (first, second):
            tensor.requires_grad_()
        gradients = torch.autograd.grad(f_divergence(first, second, generator), (first, second))
        assert not any(gradient.isnan().any() for gradient in gradients)


def test_shapes_broadcast() -> None:
    assert f_divergence(P[:5, None], Q[None, :7], "kl").shape == (5, 7)
    assert f_divergence(P[0], Q[0]).shape == ()
    assert plug_in(torch.ones(4, 1, 3), torch.ones(2, 3)).shape == (4, 2)
    assert jackknife(torch.full((4, 1, 3), 2), torch.full((2, 3), 2), "le_cam").value.shape == (4, 2)
    assert renyi_divergence(P.float(), Q.float(), 0.5).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: f_divergence(torch.tensor([0.5, 0.6]), torch.tensor([0.5, 0.5])),
            "p: probabilities sum to 1.1",
        ),
        (lambda: f_divergence(torch.tensor([1.5, -0.5]), torch.tensor([0.5, 0.5])), "non-negative"),
        (lambda: f_divergence(torch.tensor([0.5, 0.5]), torch.tensor([math.nan, 0.5])), "q: .* finite"),
        (lambda: f_divergence(torch.tensor([3, 4]), torch.tensor([0.5, 0.5])), "floating-point"),
        (lambda: f_divergence(torch.tensor([1.0]), torch.tensor([0.5, 0.5])), "different sizes"),
        (
            lambda: f_divergence(torch.tensor([1.0]), torch.tensor([1.0]), "kullback"),
            "unknown divergence 'kullback'.*kl",
        ),
        (lambda: renyi_divergence(torch.tensor([1.0]), torch.tensor([1.0]), -1.0), "order"),
        (
            lambda: gaussian_kl(torch.zeros(1), -torch.eye(1), torch.zeros(1), torch.eye(1)),
            "covariance_p: not positive",
        ),
        (lambda: gaussian_renyi(torch.zeros(1), torch.eye(1), torch.zeros(1), torch.eye(1), 0.0), "order"),
        (
            lambda: gaussian_kl(torch.zeros(1), torch.ones(1), torch.zeros(1), torch.eye(1)),
            "expected covariances",
        ),
        (lambda: coarse_grain(torch.tensor([0.5, 0.5]), torch.tensor([0, 2]), 2), "cell_of"),
        (lambda: frequencies(torch.tensor([0, 0])), "at least one observation"),
        (lambda: frequencies(torch.tensor([2, -1])), "non-negative counts"),
        (lambda: delta_bias(P[0], Q[0], 5, 5, "total_variation"), "kink"),
        (lambda: jackknife(torch.tensor([3, 4]), torch.tensor([3, 4]), "kl"), "pseudo_count"),
        (lambda: jackknife(torch.tensor([1, 0]), torch.tensor([3, 4]), "le_cam"), "two observations"),
        (lambda: monte_carlo(torch.zeros(3), drawn_from="r"), "drawn_from"),
        (lambda: monte_carlo(torch.zeros(1)), "at least two"),
        (lambda: monte_carlo(torch.tensor([0.0, math.inf])), "vanishes at one of its own draws"),
        (lambda: frequencies(torch.tensor([1.0, math.nan])), "finite, non-negative"),
        (lambda: frequencies(torch.tensor([1, 2]), -1.0), "pseudo_count"),
        (lambda: jackknife(torch.tensor([1.5, 2.0]), torch.tensor([1, 2]), "le_cam"), "whole numbers"),
        (lambda: f_divergence(P[:3], Q[:4]), "batch shapes .* do not broadcast"),
        (lambda: alpha_generator(math.nan), "order must be finite"),
        (lambda: get_generator("kl").conjugate(torch.tensor([1])), "floating-point"),
        (lambda: gaussian_kl(torch.zeros(3), torch.eye(2), torch.zeros(2), torch.eye(2)), "one d"),
        (
            lambda: gaussian_kl(
                torch.zeros(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]]), torch.zeros(2), torch.eye(2)
            ),
            "covariance_p: not symmetric",
        ),
    ],
)
def test_bad_input_gives_a_clear_error(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: f_divergence([0.5, 0.5], [0.5, 0.5]),
        lambda: f_divergence(P, Q, ["kl"]),
        lambda: renyi_divergence(P, Q, "two"),
        lambda: gaussian_kl([0.0], [[1.0]], [0.0], [[1.0]]),
        lambda: frequencies([3, 4]),
        lambda: monte_carlo([0.1, 0.2]),
    ],
)
def test_wrong_types_are_named(call) -> None:
    with pytest.raises(TypeError, match="expected"):
        call()
