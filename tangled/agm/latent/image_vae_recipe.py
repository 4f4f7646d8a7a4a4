"""VAEs of binarised MNIST: settings, training, samples and test likelihood."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Images
from dataclasses import dataclass, field
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agm.data import load_mnist
from agm.latent.vae import VAE, VaeConfig, build_vae
from agm.latent.vae_training import VaeTask, binarise, elbo_metrics, held_out_likelihood
from agm.recipes import Recipe, Samples
from agm.training import StepContext, TrainingConfig
from agm.training.noise import EVALUATE

SHAPE = (1, 28, 28)
TEST_SEED = 20
"""Of the one binarisation of the test images on which likelihoods are reported."""


@dataclass(frozen=True)
class ImageVaeConfig:
    """Settings of an image VAE."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Settings of the loop."""
    vae: VaeConfig = field(default_factory=lambda: VaeConfig(SHAPE))
    """Networks, latent dimensions, likelihood."""
    kl_warmup: int = 0
    """Steps until the KL term has its full weight."""
    test_images: int = 10_000
    """Number of test images whose likelihood is estimated, from the first on (the order is random)."""
    draws: int = 5_000
    """Importance draws for each of them."""


@cache
def _grey(split: str) -> Tensor:
    return load_mnist("train" if split == "train" else "test").images


def test_images(count: int = 10_000) -> Float[Tensor, "count 1 28 28"]:
    """The first test images in black and white, always the same ones.

    Args:
        count: how many.
    """
    grey = _grey("test")
    uniform = torch.rand(grey.shape, generator=torch.Generator().manual_seed(TEST_SEED))
    return binarise(grey, uniform)[:count]


def _binarise_anew(grey: Tensor, context: StepContext) -> Tensor:
    """Dynamic binarisation: other coins at every step."""
    return binarise(grey, context.uniform(*SHAPE))


def make_model(config: ImageVaeConfig) -> VAE:
    """A new model; the seed of the training decides its weights."""
    return build_vae(config.vae, config.training.seed)


def build(config: ImageVaeConfig) -> tuple[VaeTask, Tensor]:
    """The task, evaluated on a thousand test images, and the grey images to train on."""
    held_out = test_images(min(1_000, config.test_images))
    return VaeTask(make_model(config), held_out, config.kl_warmup, _binarise_anew), _grey("train")


def sample(model: nn.Module, config: ImageVaeConfig, count: int, seed: int) -> Samples:
    """Draw codes from the prior; show the probabilities of the pixels, not the coins."""
    assert isinstance(model, VAE)
    z = torch.randn(count, config.vae.latent, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return Samples(images=model.sample(z))


def evaluate(model: nn.Module, config: ImageVaeConfig) -> dict[str, float]:
    """Test likelihood by importance sampling and the bound, in nats per image."""
    assert isinstance(model, VAE)
    images = test_images(config.test_images)
    context = StepContext(0, seed=config.training.seed, stream=EVALUATE)

    def draw_log_weights(x: Tensor, noise: StepContext, draws: int) -> Tensor:
        return model.log_weights(x, noise.normal(draws, config.vae.latent).transpose(0, 1))

    likelihood = held_out_likelihood(draw_log_weights, images, config.draws, context)
    return likelihood | elbo_metrics(model, images, context)


def image_recipe(name: str, title: str, presets: dict[str, ImageVaeConfig]) -> Recipe[ImageVaeConfig]:
    """A recipe for MNIST that differs from its siblings in settings only.

    Args:
        name: of the model.
        title: one line that says what it is.
        presets: its settings.
    """
    return Recipe(
        name=name,
        title=title,
        chapter="sec-training-vae",
        modality="image",
        datasets=("mnist",),
        presets=presets,
        model=make_model,
        build=build,
        sample=sample,
        evaluate=evaluate,
        storage="float16",
    )


_EPOCH = 60_000 / 128


RECIPE = image_recipe(
    "vae-mnist",
    "variational autoencoder of binarised MNIST",
    {
        "smoke": ImageVaeConfig(
            TrainingConfig(steps=40, batch_size=32, learning_rate=2e-3, log_every=5),
            VaeConfig(SHAPE, latent=8, hidden=(32,)),
            test_images=20,
            draws=50,
        ),
        "small": ImageVaeConfig(
            TrainingConfig(
                steps=int(60 * _EPOCH),
                batch_size=128,
                learning_rate=2e-3,
                schedule="cosine",
                warmup=300,
                final_fraction=0.01,
                evaluate_every=int(5 * _EPOCH),
                checkpoint_every=int(5 * _EPOCH),
                log_every=100,
            ),
            VaeConfig(SHAPE, latent=40, hidden=(400, 300)),
            kl_warmup=int(10 * _EPOCH),
        ),
        "full": ImageVaeConfig(
            TrainingConfig(
                steps=int(400 * _EPOCH),
                batch_size=128,
                learning_rate=1e-3,
                schedule="cosine",
                warmup=2_000,
                final_fraction=0.01,
                gradient_clip=100.0,
                ema_decay=0.9995,
                evaluate_every=int(10 * _EPOCH),
                checkpoint_every=int(10 * _EPOCH),
                log_every=500,
            ),
            VaeConfig(SHAPE, latent=64, network="conv", hidden=(128, 256)),
            kl_warmup=int(20 * _EPOCH),
        ),
    },
)
