"""Time per training step and per sample of the image VAE, beside the well-known library pythae.

    pip install --no-deps --target FOLDER pythae pydantic pydantic-core annotated-types typing-inspection
    PYTHONPATH=FOLDER python benchmarks/vae_speed.py [--steps 200] [--rounds 7]

Both sides have the layers, batch size, learning rate and binarised images of the preset `small` of
`vae-mnist`; they take turns, and medians over rounds are quoted. Three comparisons: one step (forward,
backward, Adam) on a batch that is already there; one step of the whole training loop, with each side's way
to get data and noise and to keep books; a thousand samples from the prior. Then the parts of our own step.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from agm.data import load_mnist
from agm.latent.image_vae_recipe import RECIPE, make_model
from agm.latent.vae import VAE, vae_loss
from agm.latent.vae_training import VaeTask, binarise
from agm.training import StepContext, train
from torch import Tensor, nn

CONFIG = RECIPE.preset("small")
BATCH = CONFIG.training.batch_size
RATE = CONFIG.training.learning_rate


def load_peer() -> Any:
    """The parts of pythae that are needed, or a clear end."""
    try:
        from pythae.data.datasets import BaseDataset
        from pythae.models import VAE as PeerVAE
        from pythae.models import VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
    except ImportError as error:
        sys.exit(
            f"vae_speed: the peer is missing ({error}): install it as the top of this file says, "
            "then set PYTHONPATH=FOLDER; without it there is nothing to compare with"
        )

    class Encoder(BaseEncoder):  # type: ignore[misc]
        """Our encoder's layers, in the peer's clothes."""

        def __init__(self, layers: nn.Module) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: Tensor) -> Any:
            """Means and log-variances."""
            mean, log_variance = self.layers(x).chunk(2, -1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        """Our decoder's layers; the peer wants probabilities."""

        def __init__(self, layers: nn.Module) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, z: Tensor) -> Any:
            """Probabilities of the pixels."""
            return ModelOutput(reconstruction=torch.sigmoid(self.layers(z)))

    def make() -> Any:
        ours = make_model(CONFIG)
        settings = VAEConfig(
            input_dim=CONFIG.vae.event_shape, latent_dim=CONFIG.vae.latent, reconstruction_loss="bce"
        )
        return PeerVAE(settings, encoder=Encoder(ours.encoder), decoder=Decoder(ours.decoder))

    def fit(images: Tensor) -> None:
        quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
        with tempfile.TemporaryDirectory() as folder, quiet[0], quiet[1]:
            settings = BaseTrainerConfig(
                output_dir=folder,
                num_epochs=1,
                per_device_train_batch_size=BATCH,
                learning_rate=RATE,
                no_cuda=True,
            )
            labels = torch.zeros(len(images))
            trainer = BaseTrainer(make(), BaseDataset(images, labels), training_config=settings)
            start = time.perf_counter()
            trainer.train(log_output_dir=None)
            seconds.append(time.perf_counter() - start)

    seconds: list[float] = []

    def fit_seconds(images: Tensor) -> float:
        fit(images)
        return seconds[-1]

    return make, fit_seconds


def our_steps(model: VAE, batches: list[Tensor]) -> float:
    """Seconds of forward, backward and Adam on every batch."""
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    start = time.perf_counter()
    for x in batches:
        loss = vae_loss(model(x, torch.randn(len(x), CONFIG.vae.latent)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def peer_steps(model: Any, batches: list[Tensor]) -> float:
    """The same of the peer."""
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    start = time.perf_counter()
    for x in batches:
        loss = model({"data": x}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def our_loop(images: Tensor, steps: int) -> float:
    """Seconds of `agm.training.train`, which binarises anew at every step, without its set-up."""

    def prepare(x: Tensor, context: StepContext) -> Tensor:
        return binarise(x, context.uniform(*CONFIG.vae.event_shape))

    training = replace(CONFIG.training, steps=steps, warmup=0, checkpoint_every=0, evaluate_every=0)
    task = VaeTask(make_model(CONFIG), images[:2], prepare=prepare)
    with tempfile.TemporaryDirectory() as folder:
        return train(task, images, training, folder=folder, progress=False).seconds


def sampler(decode: Callable[[Tensor], Tensor]) -> float:
    """Seconds for a thousand samples, as probabilities of pixels."""
    with torch.no_grad():
        start = time.perf_counter()
        decode(torch.randn(1000, CONFIG.vae.latent))
        return time.perf_counter() - start


def profile(images: Tensor, steps: int) -> dict[str, float]:
    """Milliseconds of the parts of our step: fetching, noise and binarisation, network, Adam."""
    model = make_model(CONFIG)
    optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
    parts = {"fetch": 0.0, "noise": 0.0, "network": 0.0, "Adam": 0.0}
    for step in range(steps):
        marks = [time.perf_counter()]
        x = images.index_select(0, torch.randint(len(images), (BATCH,)))
        marks.append(time.perf_counter())
        context = StepContext(BATCH, step=step)
        x, noise = binarise(x, context.uniform(*x.shape[1:])), context.normal(CONFIG.vae.latent)
        marks.append(time.perf_counter())
        loss = vae_loss(model(x, noise))
        optimizer.zero_grad()
        loss.backward()
        marks.append(time.perf_counter())
        optimizer.step()
        marks.append(time.perf_counter())
        for name, first, last in zip(parts, marks, marks[1:], strict=False):
            parts[name] += 1e3 * (last - first) / steps
    return parts


def main() -> None:
    """Measure in turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    make_peer, peer_loop = load_peer()
    logging.disable(logging.WARNING)
    grey = load_mnist("train").images[: options.steps * BATCH]
    images = binarise(grey, torch.rand(grey.shape, generator=torch.Generator().manual_seed(0)))
    batches = list(images.split(BATCH))
    ours, peer = make_model(CONFIG), make_peer()
    contests: dict[str, tuple[Callable[[], float], Callable[[], float], float]] = {
        "step, ms": (
            lambda: our_steps(ours, batches),
            lambda: peer_steps(peer, batches),
            1e3 / len(batches),
        ),
        "training loop, ms per step": (
            lambda: our_loop(grey, len(batches)),
            lambda: peer_loop(images),
            1e3 / len(batches),
        ),
        "sample, µs each": (
            lambda: sampler(ours.sample),
            lambda: sampler(lambda z: peer.decoder(z).reconstruction),
            1e3,
        ),
    }
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}, {options.rounds} rounds in turns")
    for name, (first, second, scale) in contests.items():
        pairs = [(first() * scale, second() * scale) for _ in range(options.rounds + 1)][1:]
        mine, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{name:28} agm {mine:8.2f}   pythae {theirs:8.2f}   ratio {ratio:.2f}", flush=True)
    parts = profile(grey, options.steps)
    total = sum(parts.values())
    shares = (f"{name} {value:.2f} ms ({value / total:.0%})" for name, value in parts.items())
    print("our step: " + ", ".join(shares))


if __name__ == "__main__":
    main()
