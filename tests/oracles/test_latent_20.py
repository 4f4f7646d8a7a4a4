"""Training VAEs, against NumPy, SciPy, scikit-learn, optax and torch.distributions."""

from __future__ import annotations

import math

import numpy as np
import optax
import pytest
import torch
from agm.audio import mel_spectrogram
from agm.data import load_digits, load_spoken_digits
from agm.latent.audio_vae import mel_error, mel_patches, principal_reconstruction
from agm.latent.text_vae import TextVAE, TextVaeConfig
from agm.latent.vae_training import (
    active_units,
    binarise,
    free_bits_kl,
    held_out_likelihood,
    importance_bias,
    kl_weight,
)
from agm.training import StepContext
from numpy.typing import NDArray
from scipy import optimize, special, stats
from sklearn.decomposition import PCA
from sklearn.metrics import root_mean_squared_error
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

Array = NDArray[np.float64]


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("warmup", [2, 7, 100])
def test_warm_up_is_a_linear_schedule_of_optax(warmup: int) -> None:
    schedule = optax.linear_schedule(1 / warmup, 1.0, warmup - 1)
    for step in (0, 1, warmup // 2, warmup - 1, warmup, 3 * warmup):
        assert kl_weight(step, warmup) == pytest.approx(float(schedule(step)), rel=1e-6)


def test_free_bits_against_numpy() -> None:
    rates = normal(40, 5, seed=0).square() * torch.tensor([0.01, 0.1, 0.5, 1.0, 3.0])
    expected = np.maximum(rates.numpy().mean(0), 0.4).sum()
    assert free_bits_kl(rates, 0.4).item() == pytest.approx(expected, rel=1e-12)


def test_active_units_against_the_variance_of_numpy() -> None:
    scales = torch.tensor([0.05, 0.09, 0.11, 0.3, 2.0], dtype=torch.float64)
    means = scales * normal(500, 5, seed=1) + normal(5, seed=2)
    variances = means.numpy().var(0, ddof=1)
    assert active_units(means).tolist() == (variances > 0.01).tolist()
    edge = float(variances[3])
    assert active_units(means, edge * (1 - 1e-9))[3] and not active_units(means, edge * (1 + 1e-9))[3]


def test_importance_bias_is_the_relative_variance_over_twice_the_draws() -> None:
    weights = np.random.default_rng(0).lognormal(0, 0.8, 60)
    ess = torch.tensor(weights.sum() ** 2 / (weights**2).sum())
    expected = stats.variation(weights) ** 2 / (2 * 60)
    assert importance_bias(ess, 60).item() == pytest.approx(expected, rel=1e-12)


def ppca(dimensions: int) -> tuple[PCA, Array, Tensor]:
    pixels = load_digits("train").images.flatten(1).double()
    pixels = pixels + 0.1 * normal(*pixels.shape, seed=3)
    oracle = PCA(dimensions).fit(pixels.numpy())
    columns = oracle.components_.T * np.sqrt(oracle.explained_variance_ - oracle.noise_variance_)
    return oracle, columns, pixels[:80]


@pytest.mark.parametrize(("widen", "tolerance"), [(1.0, 1e-9), (1.3, 0.02)])
def test_held_out_likelihood_of_probabilistic_pca(widen: float, tolerance: float) -> None:
    """With the exact posterior as proposal every weight is p(x); with a wider one the average comes close."""
    oracle, columns, x = ppca(4)
    loadings, noise = torch.from_numpy(columns), float(oracle.noise_variance_)
    precision = torch.eye(4, dtype=torch.float64) + loadings.T @ loadings / noise
    root = torch.linalg.cholesky(torch.linalg.inv(precision))
    centre = torch.from_numpy(oracle.mean_)

    def draw_log_weights(part: Tensor, context: StepContext, draws: int) -> Tensor:
        mean = torch.linalg.solve(precision, loadings.T @ (part - centre).T / noise).T
        step = widen * context.normal(draws, 4).double().transpose(0, 1)
        z = mean + step @ root.T
        log_q = (
            Normal(0.0, 1.0).log_prob(step / widen).sum(-1)
            - root.diagonal().log().sum()
            - 4 * math.log(widen)
        )
        joint = Normal(centre + z @ loadings.T, math.sqrt(noise)).log_prob(part).sum(-1)
        return joint + Normal(0.0, 1.0).log_prob(z).sum(-1) - log_q

    found = held_out_likelihood(draw_log_weights, x, 500, StepContext(0, seed=2))
    scores = oracle.score_samples(x.numpy())
    assert found["nll"] == pytest.approx(-scores.mean(), abs=tolerance)
    assert found["nll_error"] == pytest.approx(stats.sem(scores), rel=0.01)
    assert found["nll_bias"] == pytest.approx(0, abs=1e-12) if widen == 1 else found["nll_bias"] > 0


def test_binarisation_throws_the_coins_of_its_grey_values() -> None:
    grey = torch.tensor([0.02, 0.3, 0.5, 0.93]).expand(5_000, 4)
    coins = binarise(grey, torch.rand(grey.shape, generator=torch.Generator().manual_seed(4)))
    for column, probability in zip(coins.T, grey[0].tolist(), strict=True):
        assert stats.binomtest(int(column.sum()), 5_000, probability).pvalue > 1e-3
    assert stats.pearsonr(coins[:, 1], coins[:, 2]).pvalue > 1e-3


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_optimum_of_the_weighted_linear_model_is_the_shrunken_spectrum(beta: float) -> None:
    """The theorem, without its proof: maximise over decoder, encoder mean and encoder variances at once."""
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    spectrum, noise = np.array([4.0, 1.4, 0.3]), 0.7
    covariance = rotation * spectrum @ rotation.T

    def loss(flat: Array) -> float:
        decoder, encoder, log_s = flat[:9].reshape(3, 3), flat[9:18].reshape(3, 3), flat[18:]
        left = np.eye(3) - decoder @ encoder
        error = np.trace(left @ covariance @ left.T) + (decoder**2 * np.exp(log_s)).sum()
        rate = 0.5 * (np.trace(encoder @ covariance @ encoder.T) + (np.exp(log_s) - 1 - log_s).sum())
        return float(error / (2 * noise) + beta * rate)

    starts = np.random.default_rng(2).normal(size=(6, 21)) * 0.5
    best = min((optimize.minimize(loss, start, tol=1e-12) for start in starts), key=lambda fit: fit.fun)
    decoder = best.x[:9].reshape(3, 3)
    expected = np.maximum(spectrum - beta * noise, 0)
    np.testing.assert_allclose(np.linalg.svd(decoder)[1] ** 2, expected, atol=2e-3)
    used = (decoder**2).sum(0)  # each direction has one coordinate, and the others are silent
    np.testing.assert_allclose(np.sort(used)[::-1], expected, atol=2e-3)


def test_mel_error_is_a_root_mean_square_of_decibels() -> None:
    first, second = normal(40, 9, seed=5).exp(), normal(40, 9, seed=6).exp()
    decibels = [10 * np.log10(power.numpy()).ravel() for power in (first, second)]
    expected = root_mean_squared_error(*decibels)
    assert mel_error(first.log(), second.log()).item() == pytest.approx(expected, rel=1e-12)


def test_error_of_principal_components_is_the_tail_of_the_spectrum() -> None:
    patches = normal(120, 4, 5, seed=7) @ torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5, 0.1]).double())
    centred = (patches - patches.mean(0)).flatten(1).numpy()
    tail = np.linalg.svd(centred, compute_uv=False) ** 2
    for dimensions in (0, 1, 7, 20):
        lost = (principal_reconstruction(patches, patches, dimensions) - patches).square().sum().item()
        assert lost == pytest.approx(tail[dimensions:].sum(), abs=1e-9)


def test_patches_are_windows_of_numpy() -> None:
    clips = load_spoken_digits("test")
    expected = []
    for index in range(len(clips)):
        mel = mel_spectrogram(clips.clip(index), clips.sample_rate).numpy()
        expected.append(np.lib.stride_tricks.sliding_window_view(mel, 16, axis=1)[:, ::5].swapaxes(0, 1))
    np.testing.assert_array_equal(mel_patches(clips, 16, 5).numpy(), np.concatenate(expected))


def gru(weights: dict[str, Array], inputs: Array, state: Array) -> Array:
    """One layer of gated recurrent units from its definition (Cho et al., 2014), states after every input."""
    states = []
    for x in inputs:
        from_x = weights["weight_ih_l0"] @ x + weights["bias_ih_l0"]
        from_h = weights["weight_hh_l0"] @ state + weights["bias_hh_l0"]
        (rx, ux, nx), (rh, uh, nh) = np.split(from_x, 3), np.split(from_h, 3)
        update, reset = special.expit(ux + uh), special.expit(rx + rh)
        state = update * state + (1 - update) * np.tanh(nx + reset * nh)
        states.append(state)
    return np.array(states)


def test_text_vae_against_a_recurrent_network_in_numpy() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = TextVAE(TextVaeConfig(symbols=3, latent=2, hidden=5, embedding=4)).double()
    line, noise = [2, 0, 1, 3], normal(6, 1, 2, seed=8)
    ids, lengths = torch.tensor([[*line, 3, 3]]), torch.tensor([4])
    tables = {
        part: {name: value.detach().numpy() for name, value in getattr(model, part).named_parameters()}
        for part in ("embedding", "encoder", "posterior", "first_state", "decoder", "output")
    }
    vectors = tables["embedding"]["weight"]
    last = gru(tables["encoder"], vectors[line], np.zeros(5))[-1]
    both = tables["posterior"]["weight"] @ last + tables["posterior"]["bias"]
    q = Independent(Normal(torch.from_numpy(both[:2]), torch.from_numpy(np.exp(both[2:] / 2))), 1)
    prior = Independent(Normal(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)), 1)
    expected = []
    for epsilon in noise[:, 0]:
        z = q.base_dist.loc + q.base_dist.scale * epsilon
        start = np.tanh(tables["first_state"]["weight"] @ z.numpy() + tables["first_state"]["bias"])
        inputs = np.array([np.concatenate([vectors[before], z.numpy()]) for before in (3, *line[:-1])])
        logits = (
            gru(tables["decoder"], inputs, start) @ tables["output"]["weight"].T + tables["output"]["bias"]
        )
        log_p = special.log_softmax(logits, 1)[range(4), line].sum()
        expected.append(log_p + (prior.log_prob(z) - q.log_prob(z)).item())
    with torch.no_grad():
        found = model.log_weights(ids, lengths, noise)[:, 0]
        rates = model(ids, lengths, noise[0]).rates
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    assert rates.sum().item() == pytest.approx(kl_divergence(q, prior).item(), rel=1e-12)
