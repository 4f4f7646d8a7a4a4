"""Chapter 20: objectives, instruments and recipes of training VAEs."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Tests
import itertools
import math
from dataclasses import replace

import pytest
import torch
from agm.artifacts import load_artifact
from agm.data import load_spoken_digits
from agm.latent.audio_vae import PatchVAE, mel_error, mel_patches, principal_reconstruction
from agm.latent.image_vae_recipe import RECIPE as IMAGES
from agm.latent.image_vae_recipe import test_images as binary_test_images
from agm.latent.text_vae import TextVAE, TextVaeConfig, shakespeare_lines
from agm.latent.text_vae_recipe import RECIPE as TEXT
from agm.latent.vae import VaeConfig, build_vae, standard_kl
from agm.latent.vae_training import (
    active_units,
    binarise,
    free_bits_kl,
    held_out_likelihood,
    importance_bias,
    kl_weight,
)
from agm.recipes import get_recipe
from agm.training import StepContext, TrainingConfig, train

NAMES = (
    "vae-mnist",
    "vae-mnist-cold",
    "vae-mnist-plane",
    "vae-text",
    "vae-text-plain",
    "text-autoregressive",
    "vae-audio",
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_warm_up_ends_at_one_and_stays() -> None:
    assert [kl_weight(step, 4) for step in (0, 1, 3, 4, 99)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    assert kl_weight(0, 0) == 1.0


def test_free_bits_lie_between_their_bounds_and_silence_the_gradient() -> None:
    rates = normal(50, 6).abs() * torch.tensor([0.01, 0.1, 0.5, 1.0, 2.0, 3.0])
    rates.requires_grad_()
    plain = rates.mean(0).sum()
    torch.testing.assert_close(free_bits_kl(rates, 0.0), plain)
    value = free_bits_kl(rates, 0.5)
    assert plain < value < plain + 6 * 0.5
    (slope,) = torch.autograd.grad(value, rates)
    above = rates.mean(0) > 0.5
    assert 0 < int(above.sum()) < 6
    torch.testing.assert_close(slope, above.double().expand(50, 6) / 50)


def test_free_bits_average_before_the_maximum() -> None:
    rates = torch.tensor([[2.0], [0.0]])
    assert free_bits_kl(rates, 0.5).item() == 1.0  # per example it would be (2 + 0.5) / 2


@pytest.mark.parametrize("variance", [1.2, 3.0, 10.0])
def test_optimal_linear_coordinate_has_the_known_rate_and_activity(variance: float) -> None:
    x = math.sqrt(variance) * normal(400_000, 1)
    weight = math.sqrt(variance - 1)  # noise variance 1
    mean, log_variance = weight * x / variance, torch.full_like(x, -math.log(variance))
    assert standard_kl(mean, log_variance).mean().item() == pytest.approx(0.5 * math.log(variance), rel=0.02)
    assert mean.var().item() == pytest.approx(1 - 1 / variance, rel=0.02)
    assert active_units(mean).item() and not active_units(0.05 * x / math.sqrt(variance)).item()


@pytest.mark.parametrize("beta", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("variance", [0.4, 1.5, 6.0])
def test_weighted_optimum_keeps_what_exceeds_the_threshold(beta: float, variance: float) -> None:
    squared = torch.linspace(0, 8, 80_001, dtype=torch.float64)
    total = squared + beta
    objective = -0.5 * (torch.log(total) + variance / total)
    assert squared[objective.argmax()].item() == pytest.approx(max(variance - beta, 0.0), abs=1e-3)


@pytest.mark.parametrize("beta", [0.4, 1.0, 3.0])
def test_weighted_bound_is_a_bound_for_the_sharpened_model(beta: float) -> None:
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    step, x, weight = float(z[1] - z[0]), 0.7, 1.3
    log_prior, log_likelihood = -0.5 * z**2, -0.5 * (x - weight * z) ** 2
    constant = -0.5 * math.log(2 * math.pi)
    log_joint = log_prior + constant + (log_likelihood + constant) / beta
    log_z = torch.logsumexp(log_joint, 0) + math.log(step)

    def bound(mean: float, scale: float) -> torch.Tensor:
        log_q = -0.5 * ((z - mean) / scale) ** 2 - math.log(scale) + constant
        q = torch.exp(log_q) * step
        kl = (q * (log_q - log_prior - constant)).sum()
        return (q * (log_likelihood + constant)).sum() - beta * kl

    precision = 1 + weight**2 / beta
    best = bound(weight * x / beta / precision, precision**-0.5)
    assert best.item() == pytest.approx(beta * log_z.item(), abs=1e-9)
    for mean, scale in ((0.0, 1.0), (0.5, 0.4), (-1.0, 2.0)):
        assert bound(mean, scale) < beta * log_z


@pytest.mark.parametrize("variance", [0.5, 0.99, 1.01, 4.0])
def test_collapse_is_stable_exactly_below_the_threshold(variance: float) -> None:
    def objective(point: torch.Tensor) -> torch.Tensor:
        w, v, log_s = point
        s = torch.exp(log_s)
        error = variance * (1 - w * v) ** 2 + w**2 * s
        return -0.5 * error - 0.5 * (variance * v**2 + s - 1 - log_s)

    origin = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(objective(origin), origin)
    assert slope.abs().max() == 0
    bends = torch.linalg.eigvalsh(torch.autograd.functional.hessian(objective, origin.detach()))
    assert bool((bends < 0).all()) == (variance < 1)


def test_importance_bias_matches_the_deficit_of_the_bound() -> None:
    draws, spread = 50, 0.6
    log_weights = spread * normal(draws, 200_000) - spread**2 / 2  # mean weight 1, log-likelihood 0
    bound = torch.logsumexp(log_weights, 0) - math.log(draws)
    sizes = log_weights.exp().sum(0) ** 2 / (2 * log_weights).exp().sum(0)
    assert -bound.mean().item() == pytest.approx(importance_bias(sizes, draws).mean().item(), rel=0.1)
    equal = torch.full((1,), float(draws))
    assert importance_bias(equal, draws).item() == 0


def test_held_out_likelihood_agrees_with_a_closed_form() -> None:
    x = 1.5 * normal(300, 1, seed=1)

    def draw_log_weights(part: torch.Tensor, noise: StepContext, draws: int) -> torch.Tensor:
        z = noise.normal(draws).double().T  # the prior proposes
        return -0.5 * (part[:, 0] - z) ** 2 - 0.5 * math.log(2 * math.pi)

    exact = (0.25 * x**2 + 0.5 * math.log(4 * math.pi)).mean().item()
    found = held_out_likelihood(draw_log_weights, x, 4_000, StepContext(0, seed=5))
    assert found["nll"] == pytest.approx(exact, abs=0.01)
    spread = (0.25 * x**2).std().item() / math.sqrt(300)
    assert found["nll_error"] == pytest.approx(spread, rel=0.05)
    assert 0 < found["nll_bias"] < 0.01 and found["smallest_sample_size"] > 10


def test_binarisation_has_the_grey_values_as_frequencies() -> None:
    grey = torch.linspace(0, 1, 11).expand(40_000, 11)
    coins = binarise(grey, torch.rand(40_000, 11, generator=torch.Generator().manual_seed(0)))
    assert set(coins.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(coins.mean(0), grey[0], atol=0.01, rtol=0)
    assert coins[:, 0].max() == 0 and coins[:, -1].min() == 1
    assert torch.equal(binary_test_images(5), binary_test_images()[:5])


def tiny_text(latent: int = 2) -> TextVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TextVAE(TextVaeConfig(symbols=2, latent=latent, hidden=6, embedding=3)).double()


@pytest.mark.parametrize("latent", [0, 2])
def test_probabilities_of_all_lines_sum_to_one(latent: int) -> None:
    model, z, total = tiny_text(latent), normal(1, latent), 0.0
    for length in range(4):  # "ended after `length` characters", and the unfinished lines of three
        for line in itertools.product((0, 1), repeat=length):
            ids = torch.tensor([[*line, *[2] * (4 - length)]])
            total += model.log_prob(ids, torch.tensor([length + 1]), z).exp().item()
            if length == 3:
                total += model.log_prob(ids, torch.tensor([3]), z).exp().item()
                total -= model.log_prob(ids, torch.tensor([4]), z).exp().item()
    assert total == pytest.approx(1.0, abs=1e-12)


def test_padding_and_hidden_characters_do_not_count() -> None:
    model, z = tiny_text(), normal(1, 2)
    ids, length = torch.tensor([[0, 1, 1, 2, 2]]), torch.tensor([4])
    value = model.log_prob(ids, length, z)
    torch.testing.assert_close(model.log_prob(torch.tensor([[0, 1, 1, 2, 0]]), length, z), value)
    keep = torch.ones(1, 5, dtype=torch.bool)
    torch.testing.assert_close(model.log_prob(ids, length, z, keep), value)
    blind = [
        model.log_prob(torch.tensor([[a, b, 1, 2, 2]]), torch.tensor([3]), z, ~keep).item()
        - model.log_prob(torch.tensor([[a, b, 1, 2, 2]]), torch.tensor([2]), z, ~keep).item()
        for a in (0, 1)
        for b in (0, 1)
    ]
    assert max(blind) == pytest.approx(min(blind))  # the third character sees none of the first two


def test_text_log_weights_average_to_the_bound_and_greedy_lines_are_greedy() -> None:
    model = tiny_text()
    ids, lengths = torch.tensor([[0, 1, 2, 2], [1, 1, 0, 2]]), torch.tensor([3, 4])
    noise = normal(3_000, 2, 2)
    with torch.no_grad():
        weights = model.log_weights(ids, lengths, noise)
        parts = [model(ids, lengths, one) for one in noise[:300]]
        bound = torch.stack([part.reconstruction - part.rates.sum(1) for part in parts]).mean(0)
    torch.testing.assert_close(weights[:300].mean(0), bound, atol=0.1, rtol=0)
    z = normal(2, 2)
    for row, line in enumerate(model.write(z, None, longest=5)):
        for place, chosen in enumerate(line):
            others = [
                model.log_prob(
                    torch.tensor([[*line[:place], c]]), torch.tensor([place + 1]), z[row : row + 1]
                )
                for c in range(3)
            ]
            assert max(range(3), key=lambda c: others[c].item()) == chosen
    drawn = [model.write(z, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_lines_are_lines_of_the_right_length() -> None:
    lines = shakespeare_lines("test", 20, 24)
    assert lines.ids.shape[1] == 25 and lines.lengths.min() >= 21 and lines.lengths.max() <= 25
    ends = torch.arange(25) >= lines.lengths[:, None] - 1
    assert torch.equal(lines.ids == 84, ends)


def test_mel_error_is_in_decibels() -> None:
    first = normal(4, 10)
    assert mel_error(first, first + 1).item() == pytest.approx(10 / math.log(10))
    assert mel_error(first, first).item() == 0


def test_principal_components_agree_with_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    train_patches, test_patches = normal(200, 3, 4, seed=1), normal(20, 3, 4, seed=2)
    reference = PCA(5).fit(train_patches.flatten(1).numpy())
    expected = reference.inverse_transform(reference.transform(test_patches.flatten(1).numpy()))
    found = principal_reconstruction(train_patches, test_patches, 5)
    torch.testing.assert_close(found.flatten(1), torch.from_numpy(expected))


def test_patches_go_through_the_model_in_order() -> None:
    model = PatchVAE(build_vae(VaeConfig((5, 4), 3, "gaussian", hidden=(8,))))
    patches = 3 * normal(30, 5, 4).float() - 2
    model.fit_scale(patches)
    torch.testing.assert_close(model.restore(model.standardise(patches)), patches)
    standard = model.standardise(patches)
    assert standard.square().mean().item() == pytest.approx(1, abs=1e-5)
    spectrogram = torch.cat(list(patches[:3]), 1)[:, :10]  # (5, 10): two patches and a half
    through = model.resynthesise(spectrogram)
    assert through.shape == spectrogram.shape
    torch.testing.assert_close(through[:, 4:8], model.reconstruct(patches[1:2])[0])


@pytest.mark.parametrize("name", NAMES)
def test_smoke_presets_train_sample_and_evaluate(name: str, tmp_path) -> None:
    recipe = get_recipe(name)
    config = recipe.preset("smoke")
    config = replace(config, training=replace(config.training, steps=3, log_every=1))
    results = []
    for run in ("a", "b"):
        task, data = recipe.build(config)
        results.append(train(task, data, config.training, folder=tmp_path / run, progress=False))
    for first, second in zip(results[0].model.parameters(), results[1].model.parameters(), strict=True):
        assert torch.equal(first, second)
    drawn = [recipe.sample(results[0].model, config, 2, 1) for _ in range(2)]
    assert str(drawn[0]) == str(drawn[1])
    assert all(math.isfinite(value) for value in recipe.evaluate(results[0].model, config).values())


def test_a_small_image_vae_beats_independent_pixels(tmp_path) -> None:
    config = replace(
        IMAGES.preset("smoke"),
        training=TrainingConfig(steps=250, batch_size=64, learning_rate=3e-3, checkpoint_every=0),
        vae=VaeConfig((1, 28, 28), latent=8, hidden=(64,)),
        test_images=500,
    )
    task, grey = IMAGES.build(config)
    result = train(task, grey, config.training, folder=tmp_path, progress=False)
    on = grey[:5000].mean(0).clamp(1e-3, 1 - 1e-3)
    images = binary_test_images(500)
    baseline = -(images * on.log() + (1 - images) * (1 - on).log()).sum((1, 2, 3)).mean().item()
    assert result.evaluation["negative_elbo"] < baseline - 30


def test_a_text_vae_learns_more_than_letter_frequencies(tmp_path) -> None:
    config = replace(
        TEXT.preset("smoke"),
        training=TrainingConfig(steps=120, batch_size=32, learning_rate=0.01, checkpoint_every=0),
        vae=TextVaeConfig(latent=2, hidden=32, embedding=16),
        dropout=0.0,
        test_lines=100,
    )
    task, data = TEXT.build(config)
    result = train(task, data, config.training, folder=tmp_path, progress=False)
    ids, lengths = data
    counts = torch.bincount(ids[torch.arange(ids.shape[1]) < lengths[:, None]], minlength=85).double()
    frequencies = counts / counts.sum()
    entropy = -torch.xlogy(frequencies, frequencies).sum().item()
    per_line = result.evaluation["negative_elbo"]
    assert per_line / TEXT.evaluate(result.model, config)["symbols_per_line"] < entropy - 0.2


def test_the_artifacts_hold_what_the_chapter_claims() -> None:
    picture = load_artifact("vae-mnist")
    assert picture.metrics["nll"] <= 90
    assert picture.metrics["nll"] < picture.metrics["negative_elbo"]
    images = binary_test_images(60)
    noise = torch.randn(100, 60, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weights = picture.model.log_weights(images, noise)
    nll = -(torch.logsumexp(weights, 0) - math.log(100))
    assert abs(nll.mean().item() - picture.metrics["nll"]) < 4 * nll.std().item() / math.sqrt(60) + 0.5
    plain, cured = (load_artifact(name).metrics for name in ("vae-text-plain", "vae-text"))
    assert plain["active_units"] == 0 and cured["active_units"] >= 8
    sound = load_artifact("vae-audio").metrics
    assert sound["error_speech"] < sound["linear_error_speech"]


def test_flax_follows_pytorch_step_by_step() -> None:
    import jax.numpy as jnp
    import optax
    from agm.jax.vae import from_torch, twin_loss
    from flax import nnx

    model = build_vae(VaeConfig((1, 8, 8), latent=3, hidden=(16,)), seed=4)
    twin = from_torch(model)
    ours = torch.optim.Adam(model.parameters(), 1e-2)
    theirs = nnx.Optimizer(twin, optax.adam(1e-2), wrt=nnx.Param)
    value_and_slope = nnx.jit(nnx.value_and_grad(twin_loss))
    for step in range(15):
        context = StepContext(20, step=step)
        x, noise = (context.uniform(1, 8, 8) < 0.3).float(), context.normal(3)
        terms = model(x, noise)
        loss = (terms.kl - terms.reconstruction).mean()
        ours.zero_grad()
        loss.backward()
        ours.step()
        value, slope = value_and_slope(twin, jnp.asarray(x.numpy()), jnp.asarray(noise.numpy()))
        theirs.update(twin, slope)
        assert loss.item() == pytest.approx(float(value), rel=2e-5)


def test_no_component_leaves_the_mean_and_all_leave_nothing_out() -> None:
    train_patches, test_patches = normal(60, 2, 3, seed=1), normal(5, 2, 3, seed=2)
    mean = train_patches.mean(0).expand(5, 2, 3)
    torch.testing.assert_close(principal_reconstruction(train_patches, test_patches, 0), mean)
    torch.testing.assert_close(principal_reconstruction(train_patches, test_patches, 6), test_patches)


BAD = {
    "at least two": lambda: active_units(torch.zeros(1, 3)),
    "nan or infinite": lambda: active_units(torch.full((3, 2), math.nan)),
    "at least one example": lambda: free_bits_kl(torch.ones(3), 0.1),
    "uniform numbers": lambda: binarise(torch.rand(5, 4), torch.rand(4)),
    "standard error": lambda: held_out_likelihood(lambda x, n, k: x, torch.ones(1, 2), 5, StepContext(0)),
    "equal shapes": lambda: mel_error(torch.zeros(4, 10), torch.zeros(10)),
    "0 to 12 components": lambda: principal_reconstruction(torch.ones(9, 3, 4), torch.ones(2, 3, 4), 13),
    "no scale": lambda: PatchVAE(build_vae(VaeConfig((5, 4), 3))).fit_scale(torch.ones(7, 5, 4)),
    "time": lambda: PatchVAE(build_vae(VaeConfig((5, 4), 3))).resynthesise(torch.zeros(5, 0)),
    "train or test": lambda: shakespeare_lines("Train"),
    "widen": lambda: shakespeare_lines("test", 300, 301),
    "hop": lambda: mel_patches(load_spoken_digits("test"), 16, 0),
    "shorter patches": lambda: mel_patches(load_spoken_digits("test"), 5_000, 4),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_gives_a_clear_error(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BAD[message]()
