"""Chapter 1: the simplest generative models against closed forms and brute force."""

from __future__ import annotations

# book/01-foundations/01-generative-ai-basics.qmd § Tests
import itertools
import math

import pytest
import torch
from agm.baselines import Gaussian, Histogram, MarkovChain, bits_per, dequantise, inverse_cdf
from agm.divergences import f_divergence, gaussian_kl
from agm.ngram import NGram, windows


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform_integers(high: int, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randint(high, shape, generator=seeded(seed))


def correlated(n: int, seed: int) -> torch.Tensor:
    """Draws from a Gaussian in four dimensions with a full covariance."""
    mixing = torch.randn(4, 4, generator=seeded(99)).double()
    return torch.randn(n, 4, generator=seeded(seed)).double() @ mixing.T + torch.arange(4.0).double()


def test_average_log_likelihood_is_minus_entropy_minus_divergence() -> None:
    x = uniform_integers(6, (50, 1), seed=1)
    model = Histogram.fit(uniform_integers(6, (30, 1), seed=2), 6)
    empirical = torch.bincount(x[:, 0], minlength=6).double() / 50
    entropy = -torch.special.xlogy(empirical, empirical).sum()
    expected = -entropy - f_divergence(empirical, model.probabilities[0], "kl")
    torch.testing.assert_close(model.log_prob(x).mean(), expected)


def test_histogram_attains_the_maximum() -> None:
    x = uniform_integers(5, (40, 3), seed=3)
    fitted = Histogram.fit(x, 5, pseudo_count=0.0)
    entropy = -torch.special.xlogy(fitted.probabilities, fitted.probabilities).sum()
    torch.testing.assert_close(fitted.log_prob(x).mean(), -entropy)
    for seed in range(20):
        noise = torch.randn(3, 5, generator=seeded(seed)).double()
        other = Histogram(torch.softmax(fitted.probabilities.clamp(min=1e-9).log() + 0.1 * noise, -1))
        assert other.log_prob(x).mean() < fitted.log_prob(x).mean()


def test_histogram_is_normalised() -> None:
    model = Histogram.fit(uniform_integers(3, (20, 2), seed=4), 3)
    everything = torch.tensor(list(itertools.product(range(3), repeat=2)))
    assert model.log_prob(everything).exp().sum().item() == pytest.approx(1)


def test_gaussian_attains_the_maximum_and_its_gradient_vanishes() -> None:
    x = correlated(30, seed=5)
    fitted = Gaussian.fit(x)
    covariance = torch.cov(x.T, correction=0)
    top = -0.5 * (torch.logdet(covariance) + 4 * math.log(2 * math.pi) + 4)
    torch.testing.assert_close(fitted.log_prob(x).mean(), top)
    mean, factor = fitted.mean.clone().requires_grad_(), fitted.factor.clone().requires_grad_()
    Gaussian(mean, factor).log_prob(x).mean().backward()
    assert mean.grad.abs().max() < 1e-10 and factor.grad.tril().abs().max() < 1e-10
    other = Gaussian(mean.detach() + 0.3, factor.detach() * 1.2)
    divergence = gaussian_kl(fitted.mean, covariance, other.mean, other.factor @ other.factor.T)
    torch.testing.assert_close(other.log_prob(x).mean(), top - divergence)


def test_gaussian_density_agrees_with_torch() -> None:
    model, x = Gaussian.fit(correlated(50, seed=6)), correlated(9, seed=7)
    reference = torch.distributions.MultivariateNormal(model.mean, scale_tril=model.factor)
    torch.testing.assert_close(model.log_prob(x), reference.log_prob(x))


def test_low_rank_keeps_principal_variances_and_the_trace() -> None:
    x = correlated(60, seed=8)
    full = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))
    for rank in range(4):
        factor = Gaussian.fit(x, rank).factor
        kept = torch.linalg.eigvalsh(factor @ factor.T)
        torch.testing.assert_close(kept[4 - rank :], full[4 - rank :])
        torch.testing.assert_close(kept[: 4 - rank], full[: 4 - rank].mean().expand(4 - rank))


def test_conditional_times_marginal_is_joint() -> None:
    model, x = Gaussian.fit(correlated(60, seed=9)), correlated(7, seed=10)
    mean, factor = model.given(x[:, :2])
    marginal = Gaussian(model.mean[:2], model.factor[:2, :2]).log_prob(x[:, :2])
    conditional = Gaussian(torch.zeros(2).double(), factor).log_prob(x[:, 2:] - mean)
    torch.testing.assert_close(marginal + conditional, model.log_prob(x))
    covariance = model.factor @ model.factor.T
    regression = covariance[2:, :2] @ torch.linalg.inv(covariance[:2, :2])
    torch.testing.assert_close(mean, model.mean[2:] + (x[:, :2] - model.mean[:2]) @ regression.T)


def test_gaussian_samples_have_its_moments() -> None:
    model = Gaussian.fit(correlated(60, seed=11))
    draws = model.sample(40_000, seeded(12))
    covariance = model.factor @ model.factor.T
    error = covariance.diagonal().sqrt() / 200
    assert ((draws.mean(0) - model.mean).abs() < 5 * error).all()
    torch.testing.assert_close(torch.cov(draws.T), covariance, rtol=0.05, atol=0.05)


def test_markov_chain_is_normalised_over_all_sequences() -> None:
    sequences = [uniform_integers(3, (n,), seed=n) for n in (4, 7, 9)]
    chain = MarkovChain.fit(sequences, 3, pseudo_count=0.5)
    total = sum(chain.log_prob(torch.tensor(path)).exp() for path in itertools.product(range(3), repeat=4))
    assert total.item() == pytest.approx(1)


def test_markov_chain_attains_the_maximum() -> None:
    sequences = [uniform_integers(3, (200,), seed=13)]
    chain = MarkovChain.fit(sequences, 3)
    first, second = sequences[0][:-1], sequences[0][1:]
    for a, b in itertools.product(range(3), repeat=2):
        share = ((first == a) & (second == b)).sum() / (first == a).sum()
        assert chain.transition[a, b].item() == pytest.approx(share.item())
    for seed in range(20):
        noise = 0.1 * torch.randn(3, 3, generator=seeded(seed)).double()
        other = MarkovChain(chain.initial, torch.softmax(chain.transition.log() + noise, -1))
        assert other.log_prob(sequences[0]) < chain.log_prob(sequences[0])


def test_markov_chain_samples_its_transitions() -> None:
    transition = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.5, 0.5], [0.3, 0.0, 0.7]]).double()
    path = MarkovChain(torch.tensor([0.0, 1.0, 0.0]).double(), transition).sample(6000, seeded(14))
    assert path[0] == 1
    again = MarkovChain.fit([path], 3)
    torch.testing.assert_close(again.transition, transition, atol=0.04, rtol=0)
    assert (again.transition[transition == 0] == 0).all()


def test_markov_chain_learns_what_a_histogram_cannot() -> None:
    sticky = MarkovChain(torch.full((4,), 0.25).double(), 0.88 * torch.eye(4).double() + 0.03)
    train, held_out = sticky.sample(3000, seeded(15)), sticky.sample(3000, seeded(16))
    chain_bits = bits_per(MarkovChain.fit([train], 4, 1.0).log_prob(held_out), 3000)
    table_bits = bits_per(Histogram.fit(train[:, None], 4).log_prob(held_out[:, None]).sum(), 3000)
    assert chain_bits < 0.6 * table_bits


def brute_force(ids: list[int], context: list[int], target: int, n_symbols: int, start: int) -> float:
    """Witten–Bell by dictionaries: contexts nearest first, shortened from the far end."""
    probability = 1 / n_symbols
    for length in range(len(context) + 1):
        padded = [start] * length + ids
        follow = [
            padded[i] for i in range(length, len(padded)) if padded[i - length : i][::-1] == context[:length]
        ]
        if follow:
            types = len(set(follow))
            probability = (follow.count(target) + types * probability) / (len(follow) + types)
    return probability


def test_ngram_equals_brute_force() -> None:
    ids = uniform_integers(4, (60,), seed=17)
    model = NGram.fit(*windows(ids, 3, 0), 4)
    for context in itertools.product(range(4), repeat=3):
        row = model.probabilities(torch.tensor([context]))[0]
        assert row.sum().item() == pytest.approx(1)
        expected = [brute_force(ids.tolist(), list(context), target, 4, 0) for target in range(4)]
        assert row.tolist() == pytest.approx(expected)


def test_ngram_predicts_every_symbol_once_and_by_length() -> None:
    ids = uniform_integers(5, (100,), seed=18)
    contexts, targets = windows(ids, 3, 4)
    assert contexts.shape == (100, 3) and torch.equal(targets, ids)
    assert contexts[0].tolist() == [4, 4, 4] and contexts[50].tolist() == ids[[49, 48, 47]].tolist()
    model = NGram.fit(contexts, targets, 5)
    by_length = model.log_prob_by_length(contexts, targets)
    assert by_length.shape == (4, 100)
    for length in range(4):
        torch.testing.assert_close(model.shortened(length).log_prob(contexts, targets), by_length[length])
        refitted = NGram.fit(contexts[:, :length], targets, 5)
        torch.testing.assert_close(refitted.log_prob(contexts[:, :length], targets), by_length[length])


def test_ngram_alphabets_of_contexts_and_targets_may_differ() -> None:
    contexts, targets = uniform_integers(40, (300, 2), seed=19), uniform_integers(3, (300,), seed=20)
    rows = NGram.fit(contexts, targets, 3, n_context_symbols=40).probabilities(contexts)
    assert rows.shape == (300, 3)
    torch.testing.assert_close(rows.sum(1), torch.ones(300).double())


def test_ngram_continues_a_cycle() -> None:
    ids = torch.arange(300) % 3
    model = NGram.fit(*windows(ids, 2, 0), 3)
    following = model.continue_sequence(ids[:6], 30, seeded(21))
    assert following.tolist() == [n % 3 for n in range(6, 36)]


def test_inverse_cdf_on_a_grid_of_uniform_numbers() -> None:
    sixteenths = torch.tensor([0, 5, 0, 8, 3, 0])
    for uniform in (torch.arange(16) / 16, (torch.arange(16) + 0.999) / 16):
        drawn = inverse_cdf((sixteenths / 16).expand(16, 6), uniform)
        assert torch.bincount(drawn, minlength=6).tolist() == sixteenths.tolist()
    assert inverse_cdf(7.0 * sixteenths, torch.tensor(0.4)) == inverse_cdf(sixteenths / 16, torch.tensor(0.4))


def test_impossible_symbols_are_never_drawn() -> None:
    largest = torch.tensor(1 - 2**-53).double()
    probabilities = torch.tensor([0.0, 0.1, 0.0, 0.9, 0.0])
    assert inverse_cdf(probabilities, torch.zeros(())) == 1
    assert inverse_cdf(probabilities, largest) == 3
    many = torch.full((100_000,), 1e-5)
    assert inverse_cdf(many, largest) == 99_999


def test_dequantised_histogram_has_the_same_bits_as_the_table() -> None:
    x = uniform_integers(7, (200, 3), seed=22)
    model = Histogram.fit(x, 7)
    noisy = dequantise(x, seeded(23))
    assert torch.equal(noisy.floor().long(), x)
    density = model.probabilities.gather(1, noisy.floor().long().T).log().sum(0)  # unit cells
    torch.testing.assert_close(density, model.log_prob(x))


def test_dequantisation_is_a_bound_with_the_stated_gap() -> None:
    normal = torch.distributions.Normal(torch.tensor(2.3).double(), torch.tensor(1.4).double())
    u = (torch.arange(4000).double() + 0.5) / 4000
    for k in range(-1, 6):
        mass = normal.cdf(torch.tensor(k + 1.0).double()) - normal.cdf(torch.tensor(float(k)).double())
        log_density = normal.log_prob(k + u)
        average = log_density.mean()
        assert average < mass.log()
        within = torch.exp(log_density) / mass
        torch.testing.assert_close(mass.log() - average, -within.log().mean(), rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(within.mean(), torch.ones(()).double(), rtol=1e-6, atol=0)


def test_bits_of_the_uniform_distribution() -> None:
    model = Histogram(torch.full((5, 8), 1 / 8).double())
    bits = bits_per(model.log_prob(uniform_integers(8, (10, 5), seed=24)), 5)
    torch.testing.assert_close(bits, torch.full((10,), 3.0).double())


def test_same_seed_same_samples() -> None:
    table = Histogram.fit(uniform_integers(4, (20, 3), seed=25), 4)
    gaussian = Gaussian.fit(correlated(20, seed=26))
    assert torch.equal(table.sample(9, seeded(1)), table.sample(9, seeded(1)))
    assert torch.equal(gaussian.sample(9, seeded(1)), gaussian.sample(9, seeded(1)))
    assert not torch.equal(gaussian.sample(9, seeded(1)), gaussian.sample(9, seeded(2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Histogram.fit(torch.tensor([[0, 5]]), 5), r"x: expected .* \[0, 5\)"),
        (lambda: Histogram.fit(torch.zeros(0, 2, dtype=torch.long), 5), "expected data"),
        (lambda: Gaussian.fit(torch.tensor([[1.0, 2.0], [1.0, 3.0]])), "singular.*dequantise"),
        (lambda: Gaussian.fit(torch.randn(9, 2), rank=2), "rank must be in"),
        (lambda: MarkovChain.fit([], 3), "sequences: expected at least one"),
        (lambda: MarkovChain.fit([torch.tensor([], dtype=torch.long)], 3), "none of them empty"),
        (lambda: MarkovChain.fit([torch.tensor([0, 3])], 3), r"sequences: expected .* \[0, 3\)"),
        (lambda: inverse_cdf(torch.tensor([0.5, -0.1]), torch.tensor(0.2)), "non-negative weights"),
        (lambda: inverse_cdf(torch.zeros(3), torch.tensor(0.2)), "at least one of them positive"),
        (lambda: NGram.fit(torch.zeros(4, 20).long(), torch.zeros(4).long(), 99), "too long"),
        (lambda: NGram.fit(torch.full((4, 2), 9), torch.zeros(4).long(), 5), r"contexts: .* \[0, 5\)"),
        (lambda: NGram.fit(torch.zeros(4, 2).long(), torch.zeros(3).long(), 5), "as many targets"),
    ],
)
def test_bad_input_gives_a_clear_error(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
