"""Small networks for encoders and decoders: multilayer perceptrons and strided convolutions."""

from __future__ import annotations

# book/03-latent/18-vae.qmd § Networks
import itertools
import math
from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


def _activation(name: str) -> nn.Module:
    if name not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]()


def perceptron(sizes: Sequence[int], activation: str = "silu") -> nn.Sequential:
    """Linear layers with an activation between them, none at the end.

    Args:
        sizes: features of the input, of every hidden layer and of the output.
        activation: a name in ``ACTIVATIONS``.

    Returns:
        The network; it acts on the last axis.
    """
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(sizes):
        layers += [nn.Linear(wide, narrow), _activation(activation)]
    return nn.Sequential(*layers[:-1])


def mlp_encoder(
    event_shape: Sequence[int], latent: int, hidden: Sequence[int] = (256, 256), activation: str = "silu"
) -> nn.Sequential:
    """From ``(batch, *event)`` to ``(batch, 2 * latent)``: means, then log-variances.

    Args:
        event_shape: shape of one example.
        latent: latent dimensions.
        hidden: widths of the hidden layers; none makes the encoder affine.
        activation: a name in ``ACTIVATIONS``.

    Returns:
        The network.
    """
    return nn.Sequential(nn.Flatten(), *perceptron((math.prod(event_shape), *hidden, 2 * latent), activation))


def mlp_decoder(
    latent: int, parameter_shape: Sequence[int], hidden: Sequence[int] = (256, 256), activation: str = "silu"
) -> nn.Sequential:
    """From ``(*lead, latent)`` to ``(*lead, *parameter_shape)``.

    Args:
        latent: latent dimensions.
        parameter_shape: of the likelihood.
        hidden: widths of the hidden layers; none makes the decoder affine.
        activation: a name in ``ACTIVATIONS``.

    Returns:
        The network.
    """
    layers = perceptron((latent, *hidden, math.prod(parameter_shape)), activation)
    return nn.Sequential(*layers, nn.Unflatten(-1, tuple(parameter_shape)))


# book/03-latent/18-vae.qmd § Networks
def conv_encoder(
    event_shape: Sequence[int], latent: int, channels: Sequence[int] = (32, 64), activation: str = "silu"
) -> nn.Sequential:
    """Images ``(batch, c, h, w)`` to ``(batch, 2 * latent)`` by convolutions, each of which halves the sides.

    Args:
        event_shape: (c, h, w); h and w must be divisible by 2 for every layer.
        latent: latent dimensions.
        channels: of the layers.
        activation: a name in ``ACTIVATIONS``.

    Returns:
        The network.

    Raises:
        ValueError: if the sides cannot be halved that often.
    """
    side = _halved(event_shape, len(channels))
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise((event_shape[0], *channels)):
        layers += [nn.Conv2d(wide, narrow, 4, stride=2, padding=1), _activation(activation)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * side[0] * side[1], 2 * latent))


class ConvDecoder(nn.Module):
    """From ``(*lead, latent)`` to ``(*lead, *parameter_shape)`` by transposed convolutions.

    Args:
        latent: latent dimensions.
        event_shape: (c, h, w); h and w must be divisible by 2 for every layer.
        parameter_shape: of the likelihood: (c, h, w) or (k, c, h, w).
        channels: of the layers, from the latent code outwards.
        activation: a name in ``ACTIVATIONS``.
    """

    def __init__(
        self,
        latent: int,
        event_shape: Sequence[int],
        parameter_shape: Sequence[int],
        channels: Sequence[int] = (64, 32),
        activation: str = "silu",
    ) -> None:
        super().__init__()
        side = _halved(event_shape, len(channels))
        self.parameter_shape = tuple(parameter_shape)
        out = math.prod(parameter_shape) // (event_shape[1] * event_shape[2])
        layers: list[nn.Module] = [
            nn.Linear(latent, channels[0] * side[0] * side[1]),
            nn.Unflatten(-1, (channels[0], *side)),
        ]
        for wide, narrow in itertools.pairwise((*channels, out)):
            layers += [_activation(activation), nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Float[Tensor, "*lead latent"]) -> Float[Tensor, "..."]:
        """The parameters of the likelihood."""
        return self.layers(z.flatten(0, -2)).reshape(*z.shape[:-1], *self.parameter_shape)


def _halved(event_shape: Sequence[int], times: int) -> tuple[int, int]:
    if len(event_shape) != 3 or times < 1 or any(size % 2**times for size in event_shape[1:]):
        raise ValueError(
            f"event_shape: {times} strided layers need (channels, height, width) with sides divisible by "
            f"{2**times}, got {tuple(event_shape)}; pad the images or take fewer layers"
        )
    return event_shape[1] // 2**times, event_shape[2] // 2**times
