"""A VAE of spoken words: settings, training on speech, error of resynthesis against principal components."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Sounds
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor, nn

from agm.audio import griffin_lim
from agm.data import load_speech, load_spoken_digits
from agm.latent.audio_vae import PatchVAE, mel_error, mel_patches, principal_reconstruction
from agm.latent.vae import VaeConfig, build_vae
from agm.latent.vae_training import VaeTask, elbo_metrics
from agm.recipes import Recipe, Samples
from agm.training import StepContext, TrainingConfig
from agm.training.noise import EVALUATE

BANDS, FRAMES, HOP = 40, 16, 4


@dataclass(frozen=True)
class AudioVaeConfig:
    """Settings of an audio VAE."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Settings of the loop."""
    vae: VaeConfig = field(default_factory=lambda: VaeConfig((BANDS, FRAMES), likelihood="gaussian"))
    """Networks, latent dimensions, likelihood."""
    kl_warmup: int = 0
    """Steps until the KL term has its full weight."""


@cache
def speech_patches(split: str) -> Tensor:
    """Overlapping patches of speech to train on, or separate ones to test on."""
    if split == "train":
        return mel_patches(load_speech("train"), FRAMES, HOP)
    return mel_patches(load_speech("test"), FRAMES, FRAMES)


def make_model(config: AudioVaeConfig) -> PatchVAE:
    """A new model; the seed of the training decides its weights."""
    return PatchVAE(build_vae(config.vae, config.training.seed))


class AudioTask(VaeTask):
    """The task of its VAE, for patches in natural log-power."""

    def __init__(self, model: PatchVAE, config: AudioVaeConfig) -> None:
        super().__init__(
            model.vae,
            model.standardise(speech_patches("test")),
            config.kl_warmup,
            lambda x, context: model.standardise(x),
        )
        self.model = model

    def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
        """The objective and its two terms, means over the batch, in nats."""
        assert isinstance(self.model, PatchVAE)
        return self.terms_of(self.model.vae, batch[0], context)

    def evaluate(self, model: nn.Module, context: StepContext) -> dict[str, float]:
        """The ELBO on held-out patches, its rate, and the number of active units."""
        assert isinstance(model, PatchVAE)
        return elbo_metrics(model.vae, self.held_out.to(context.device), context)


def build(config: AudioVaeConfig) -> tuple[AudioTask, Tensor]:
    """The task, and the patches of speech to train on."""
    model = make_model(config)
    model.fit_scale(speech_patches("train"))
    return AudioTask(model, config), speech_patches("train")


def sample(model: nn.Module, config: AudioVaeConfig, count: int, seed: int) -> Samples:
    """Babble: ten independent patches in a row, turned into sound."""
    assert isinstance(model, PatchVAE)
    codes = torch.randn(count, 10, config.vae.latent, generator=torch.Generator().manual_seed(seed))
    sounds = [griffin_lim(model.babble(z), seed=seed) for z in codes]
    return Samples(waveforms=torch.stack(sounds))


def evaluate(model: nn.Module, config: AudioVaeConfig) -> dict[str, float]:
    """Errors of reconstruction in dB, of speech and of spoken digits, beside principal components."""
    assert isinstance(model, PatchVAE)
    train, speech = speech_patches("train"), speech_patches("test")
    digits = mel_patches(load_spoken_digits("test"), FRAMES, FRAMES)
    metrics = {}
    for name, patches in (("train", train), ("speech", speech), ("digits", digits)):
        linear = principal_reconstruction(train, patches, config.vae.latent)
        metrics[f"error_{name}"] = mel_error(patches, model.reconstruct(patches)).item()
        metrics[f"linear_error_{name}"] = mel_error(patches, linear).item()
    context = StepContext(0, seed=config.training.seed, stream=EVALUATE)
    return metrics | elbo_metrics(model.vae, model.standardise(speech), context)


def _vae(latent: int, *hidden: int) -> VaeConfig:
    return VaeConfig((BANDS, FRAMES), latent, "gaussian", initial_scale=1.0, hidden=hidden)


RECIPE = Recipe(
    name="vae-audio",
    title="variational autoencoder of spectrogram patches of speech",
    chapter="sec-training-vae",
    modality="audio",
    datasets=("speech", "spoken_digits"),
    presets={
        "smoke": AudioVaeConfig(
            TrainingConfig(steps=20, batch_size=32, learning_rate=2e-3, log_every=5), _vae(4, 32)
        ),
        "small": AudioVaeConfig(
            TrainingConfig(
                steps=16_000,
                batch_size=128,
                learning_rate=2e-3,
                schedule="cosine",
                warmup=300,
                final_fraction=0.01,
                gradient_clip=100.0,
                evaluate_every=2_000,
                checkpoint_every=2_000,
                log_every=100,
            ),
            _vae(32, 400, 256),
        ),
        "full": AudioVaeConfig(
            TrainingConfig(
                steps=200_000,
                batch_size=256,
                learning_rate=1e-3,
                schedule="cosine",
                warmup=1_000,
                final_fraction=0.01,
                gradient_clip=100.0,
                ema_decay=0.9995,
                evaluate_every=10_000,
                checkpoint_every=10_000,
                log_every=500,
            ),
            _vae(32, 1024, 1024, 512),
        ),
    },
    model=make_model,
    build=build,
    sample=sample,
    evaluate=evaluate,
    storage="float16",
)
