"""``agm.baselines`` against scikit-learn's estimators, SciPy's distributions and PyTorch's categoricals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from agm.baselines import Gaussian, Histogram, MarkovChain, bits_per, dequantise, inverse_cdf
from scipy import stats
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.metrics import confusion_matrix
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import CategoricalNB

from tests.oracles.inputs import SEEDS, agree, covariance, integers, numbers, simplex, tensor

each_seed = pytest.mark.parametrize("seed", SEEDS)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(seed: int, rows: int = 60, dimensions: int = 4, levels: int = 5) -> np.ndarray:
    data = numbers(seed).binomial(levels - 1, 0.4, size=(rows, dimensions))
    data[0] = levels - 1
    return data


def cloud(seed: int, rows: int = 80, dimensions: int = 5) -> np.ndarray:
    return numbers(seed).multivariate_normal(np.arange(dimensions), covariance(seed, dimensions), size=rows)


@each_seed
def test_bits_are_the_entropy_in_base_two(seed: int) -> None:
    p = simplex(seed, 1, 6)[0]
    agree((tensor(p) * bits_per(tensor(np.log(p)), 1)).sum(), stats.entropy(p, base=2))
    agree(bits_per(tensor([-3.0, -8.0]), tensor([3, 4])), [np.log2(np.e), np.log2(np.e) * 2])
    agree(bits_per(tensor([-3.0, -8.0]), integers([3, 4])), [np.log2(np.e), np.log2(np.e) * 2])
    agree(bits_per(tensor([-3.0]), integers([3])[0]), [np.log2(np.e)])


@each_seed
@pytest.mark.parametrize("zeros", [0.0, 0.5])
def test_inverse_cdf_is_the_quantile_function_of_scipy(seed: int, zeros: float) -> None:
    p, u = simplex(seed, 1, 9, zeros=zeros)[0], numbers(seed).random(500)
    oracle = stats.rv_discrete(values=(np.arange(9), p)).ppf(u).astype(np.int64)
    agree(inverse_cdf(tensor(3 * p), tensor(u)), oracle)


@each_seed
def test_inverse_cdf_at_the_steps_takes_the_next_symbol(seed: int) -> None:
    weights = numbers(seed).integers(0, 3, size=16)
    weights[-1] = 64 - weights[:-1].sum()  # dyadic, hence no rounding
    u = np.arange(64) / 64
    agree(inverse_cdf(tensor(weights), tensor(u)), np.searchsorted(np.cumsum(weights) / 64, u, side="right"))


def test_dequantised_numbers_are_uniform_within_their_cells() -> None:
    levels = numbers(0).integers(0, 7, size=4000)
    spread = dequantise(integers(levels), generator(0)).numpy()
    agree(np.floor(spread).astype(int), levels)
    assert stats.kstest(spread - levels, "uniform").pvalue > 1e-3


@each_seed
@pytest.mark.parametrize("pseudo_count", [0.5, 1.0, 3.0])
def test_histogram_is_a_naive_bayes_model_of_one_class(seed: int, pseudo_count: float) -> None:
    data, fresh = table(seed), table(seed + 100)
    oracle = CategoricalNB(alpha=pseudo_count, min_categories=5).fit(data, np.zeros(len(data)))
    found = Histogram.fit(integers(data), 5, pseudo_count)
    agree(found.probabilities.log(), np.stack([logs[0] for logs in oracle.feature_log_prob_]))
    agree(found.log_prob(integers(fresh)), oracle.predict_joint_log_proba(fresh)[:, 0])


@each_seed
def test_histogram_without_pseudo_counts_is_relative_frequency(seed: int) -> None:
    data = table(seed)
    found = Histogram.fit(integers(data), 6, pseudo_count=0)
    oracle = [stats.relfreq(column, 6, (-0.5, 5.5)).frequency for column in data.T]
    agree(found.probabilities, oracle)
    assert found.log_prob(integers([[0, 0, 0, 5]])).item() == -math.inf


@each_seed
def test_gaussian_is_the_one_component_mixture_of_scikit_learn(seed: int) -> None:
    data, fresh = cloud(seed), cloud(seed + 100)
    found = Gaussian.fit(tensor(data))
    oracle = GaussianMixture(1, reg_covar=0).fit(data)
    agree(found.mean, oracle.means_[0])
    agree(found.factor @ found.factor.T, oracle.covariances_[0])
    agree(found.log_prob(tensor(fresh)), oracle.score_samples(fresh), rtol=1e-9)
    empirical = EmpiricalCovariance().fit(data)
    agree(found.factor @ found.factor.T, empirical.covariance_)
    agree(found.log_prob(tensor(fresh)).mean(), empirical.score(fresh), rtol=1e-9)
    assert np.allclose(np.triu(found.factor.numpy(), 1), 0)


@each_seed
def test_gaussian_density_is_that_of_scipy(seed: int) -> None:
    data, fresh = cloud(seed), cloud(seed + 100)
    oracle = stats.multivariate_normal(data.mean(0), np.cov(data.T, bias=True))
    agree(Gaussian.fit(tensor(data)).log_prob(tensor(fresh)), oracle.logpdf(fresh), rtol=1e-9)


@each_seed
@pytest.mark.parametrize("rank", [0, 1, 3, 4])
def test_gaussian_of_low_rank_is_probabilistic_pca(seed: int, rank: int) -> None:
    """scikit-learn divides by n - 1; scaling the data makes up for it, with the Jacobian of the scaling."""
    data, fresh = cloud(seed), cloud(seed + 100)
    found = Gaussian.fit(tensor(data), rank)
    oracle = PCA(rank, svd_solver="full").fit(data)
    shrink = (len(data) - 1) / len(data)
    agree(found.factor @ found.factor.T, shrink * oracle.get_covariance(), rtol=1e-9, atol=1e-11)
    stretched = oracle.mean_ + (fresh - oracle.mean_) / math.sqrt(shrink)
    density = oracle.score_samples(stretched) - 0.5 * data.shape[1] * math.log(shrink)
    agree(found.log_prob(tensor(fresh)), density, rtol=1e-9)


@each_seed
@pytest.mark.parametrize("given", [1, 2, 4])
def test_conditional_of_the_fitted_gaussian_is_linear_regression(seed: int, given: int) -> None:
    data, fresh = cloud(seed), cloud(seed + 100)
    mean, factor = Gaussian.fit(tensor(data)).given(tensor(fresh[:, :given]))
    oracle = LinearRegression().fit(data[:, :given], data[:, given:])
    agree(mean, oracle.predict(fresh[:, :given]), rtol=1e-8)
    residuals = data[:, given:] - oracle.predict(data[:, :given])
    agree(factor @ factor.T, EmpiricalCovariance(assume_centered=True).fit(residuals).covariance_, rtol=1e-8)


@each_seed
def test_gaussian_samples_pass_scipys_goodness_of_fit_test(seed: int) -> None:
    model = Gaussian(tensor([1.0, -2.0]), tensor([[2.0, 0.0], [1.5, 0.5]]))
    draws = model.sample(3000, generator(seed)).numpy()
    squared = EmpiricalCovariance(assume_centered=True).fit(draws)
    squared.covariance_ = np.array([[4.0, 3.0], [3.0, 2.5]])
    squared.precision_ = np.linalg.inv(squared.covariance_)
    assert stats.kstest(squared.mahalanobis(draws - model.mean.numpy()), stats.chi2(2).cdf).pvalue > 1e-3
    assert stats.kstest(draws[:, 1], stats.norm(-2, math.sqrt(2.5)).cdf).pvalue > 1e-3


@each_seed
def test_markov_chain_is_a_normalised_confusion_matrix(seed: int) -> None:
    states = numbers(seed).choice(4, size=200, p=[0.1, 0.2, 0.3, 0.4])
    chain = MarkovChain.fit([integers(states)], 4)
    agree(chain.transition, confusion_matrix(states[:-1], states[1:], labels=range(4), normalize="true"))
    agree(chain.initial, np.eye(4)[states[0]])


@each_seed
def test_markov_chain_scores_like_a_chain_of_torch_categoricals(seed: int) -> None:
    states = numbers(seed).integers(0, 4, size=(3, 40))
    chain = MarkovChain.fit([integers(row) for row in states], 4, pseudo_count=2.0)
    first = torch.distributions.Categorical(probs=chain.initial)
    then = torch.distributions.Categorical(probs=chain.transition[integers(states[0, :-1])])
    oracle = first.log_prob(integers(states[0, 0])) + then.log_prob(integers(states[0, 1:])).sum()
    agree(chain.log_prob(integers(states[0])), oracle)


def test_markov_chain_of_bytes_counts_like_any_other() -> None:
    states = numbers(0).integers(0, 200, size=300)
    chain = MarkovChain.fit([integers(states).to(torch.uint8)], 200)
    seen = np.unique(states[:-1])
    oracle = confusion_matrix(states[:-1], states[1:], labels=range(200), normalize="true")
    agree(chain.transition[integers(seen)], oracle[seen])
    agree(chain.log_prob(integers(states).to(torch.uint8)), chain.log_prob(integers(states)))


def test_markov_chain_forbids_what_it_has_never_seen() -> None:
    chain = MarkovChain.fit([integers([0, 1, 0, 1])], 2)
    assert chain.log_prob(integers([0, 0])).item() == -math.inf
    assert chain.log_prob(integers([0, 1])).item() == 0.0


@each_seed
def test_markov_chain_visits_states_as_powers_of_its_matrix_say(seed: int) -> None:
    chain = MarkovChain(tensor([0.7, 0.2, 0.1]), tensor(simplex(seed, 3, 3)))
    source = generator(seed)
    fourth = [int(chain.sample(4, source)[-1]) for _ in range(600)]
    expected = chain.initial.numpy() @ np.linalg.matrix_power(chain.transition.numpy(), 3)
    assert stats.chisquare(np.bincount(fourth, minlength=3), 600 * expected).pvalue > 1e-3


LEVELS = integers(numbers(0).integers(0, 4, size=(20, 3)))
NORMAL = tensor(numbers(0).normal(size=(30, 3)))
CHAIN = MarkovChain.fit([LEVELS.flatten()], 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bits_per(tensor([-1.0, -2.0]), tensor([1.0, 2.0, 3.0])), ValueError, "units"),
        (lambda: bits_per(tensor([-1.0]), 0), ValueError, "positive"),
        (lambda: bits_per(integers([-1]), 1), TypeError, "floating-point"),
        (lambda: inverse_cdf(tensor([0.0, 1.0]), tensor(-0.1)), ValueError, "uniform"),
        (lambda: inverse_cdf(tensor([0.0, 1.0]), tensor(math.nan)), ValueError, "uniform"),
        (lambda: inverse_cdf(tensor([0.0, 1.0]), 0.5), TypeError, "expected tensors"),
        (lambda: inverse_cdf(tensor([[0.0, 1.0]]), tensor([0.5, 0.5])), ValueError, "one row"),
        (lambda: inverse_cdf(tensor([]), tensor(0.5)), ValueError, "one row"),
        (lambda: Histogram.fit(LEVELS.double(), 4), TypeError, "whole numbers"),
        (lambda: Histogram.fit(LEVELS, 4, pseudo_count=-1), ValueError, "pseudo-count"),
        (lambda: Histogram.fit(LEVELS, 4).log_prob(LEVELS[:, :2]), ValueError, "rows of 3"),
        (lambda: Histogram.fit(LEVELS, 4).log_prob(LEVELS + 1), ValueError, "in .0, 4."),
        (lambda: Histogram.fit(LEVELS, 4).log_prob(LEVELS - 1), ValueError, "in .0, 4."),
        (lambda: Gaussian.fit(NORMAL[0]), ValueError, "finite rows"),
        (lambda: Gaussian.fit(NORMAL * math.nan), ValueError, "finite rows"),
        (lambda: Gaussian.fit(NORMAL).log_prob(NORMAL[:, :1]), ValueError, "rows of 3"),
        (lambda: Gaussian.fit(NORMAL).given(NORMAL), ValueError, "1 to 2"),
        (lambda: MarkovChain.fit([], 4), ValueError, "at least one"),
        (lambda: MarkovChain.fit([LEVELS.flatten()], 4, pseudo_count=-1), ValueError, "pseudo_count"),
        (lambda: CHAIN.log_prob(integers([0, -1])), ValueError, "in .0, 4."),
        (lambda: CHAIN.log_prob(integers([])), ValueError, "at least one"),
        (lambda: CHAIN.sample(0, generator(0)), ValueError, "length"),
    ],
)
def test_meaningless_questions_are_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
