"""StarGAN and its training step, as plain as the paper's public code; what our own step is measured against.

Choi et al., CVPR 2018, https://arxiv.org/abs/1711.09020; written anew from the published layers and losses. As there:
fp32 in torch's default memory layout, a discriminator step with gradient penalty in every iteration, a generator step
in every fifth, real and fake pictures one after the other, both networks' gradients in either step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_CRITIC = 5
LAMBDA_CLS, LAMBDA_REC, LAMBDA_GP = 1.0, 10.0, 10.0


class PlainBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x)))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.InstanceNorm2d(width, affine=True, track_running_stats=True),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.InstanceNorm2d(width, affine=True, track_running_stats=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.main(x)
        return total


class PlainGenerator(nn.Module):
    """Pictures (N, 3, H, W) of pictures and one-hot labels (N, K)."""

    def __init__(self, num_classes: int, width: int = 64, num_blocks: int = 6) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3 + num_classes, width, 7, 1, 3, bias=False)]
        layers += _norm_relu(width)
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), *_norm_relu(2 * width)]
            width *= 2
        layers += [PlainBlock(width) for _ in range(num_blocks)]
        for _ in range(2):
            layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), *_norm_relu(width // 2)]
            width //= 2
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 3, 7, 1, 3, bias=False), nn.Tanh())

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        planes = label[:, :, None, None].repeat(1, 1, image.shape[2], image.shape[3])
        fake: Tensor = self.main(torch.cat([image, planes], dim=1))
        return fake


class PlainDiscriminator(nn.Module):
    """Realness of patches and class logits."""

    def __init__(self, num_classes: int, image_size: int = 128, width: int = 64, num_layers: int = 6) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.01)]
        for _ in range(1, num_layers):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.01)]
            width *= 2
        self.main = nn.Sequential(*layers)
        self.source = nn.Conv2d(width, 1, 3, 1, 1, bias=False)
        self.classes = nn.Conv2d(width, num_classes, image_size // 2**num_layers, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        h = self.main(image)
        return self.source(h), self.classes(h).flatten(1)


def _norm_relu(width: int) -> Sequence[nn.Module]:
    return nn.InstanceNorm2d(width, affine=True, track_running_stats=True), nn.ReLU(inplace=True)


class PlainStarGAN:
    """Both networks, their optimisers and the training step.

    Args:
        num_classes: Expressions.
        image_size: Side of the pictures.
        width: Channels of the networks' first layers.
        num_layers: Strided convolutions of the discriminator.
        device: torch's name of the device.
    """

    def __init__(
        self,
        *,
        num_classes: int = 8,
        image_size: int = 128,
        width: int = 64,
        num_layers: int = 6,
        device: str = "cpu",
    ) -> None:
        self.num_classes = num_classes
        self.generator = PlainGenerator(num_classes, width).to(device)
        self.critic = PlainDiscriminator(num_classes, image_size, width, num_layers).to(device)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), 1e-4, (0.5, 0.999))
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), 1e-4, (0.5, 0.999))
        self.iteration = 0

    def step(self, image: Tensor, expression: Tensor, target: Tensor, alpha: Tensor) -> None:
        """An iteration: the discriminator's step, and in every fifth also the generator's.

        Args:
            image: (N, 3, S, S) in [-1, 1].
            expression, target: (N,) int64.
            alpha: (N,) in [0, 1], places of the gradient penalty.
        """
        self._take(self.critic_optimiser, self.critic_loss(image, expression, target, alpha))
        self.iteration += 1
        if self.iteration % N_CRITIC == 0:
            self._take(self.generator_optimiser, self.generator_loss(image, expression, target))

    def _take(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        self.generator_optimiser.zero_grad()
        self.critic_optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def critic_loss(self, image: Tensor, expression: Tensor, target: Tensor, alpha: Tensor) -> Tensor:
        """L_D = -E D(x) + E D(G(x, c)) + lambda_cls CE(D_cls(x), c_src) + lambda_gp GP."""
        realness, logits = self.critic(image)
        fake = self.generator(image, self._one_hot(target))
        fake_realness, _ = self.critic(fake.detach())
        share = alpha[:, None, None, None]
        between = (share * image.data + (1 - share) * fake.data).requires_grad_()
        between_realness, _ = self.critic(between)
        (gradient,) = torch.autograd.grad(
            between_realness, between, torch.ones_like(between_realness), retain_graph=True, create_graph=True
        )
        norm = gradient.flatten(1).square().sum(dim=1).sqrt()
        penalty = (norm - 1).square().mean()
        loss: Tensor = (
            fake_realness.mean()
            - realness.mean()
            + LAMBDA_CLS * F.cross_entropy(logits, expression)
            + LAMBDA_GP * penalty
        )
        return loss

    def generator_loss(self, image: Tensor, expression: Tensor, target: Tensor) -> Tensor:
        """L_G = -E D(G(x, c)) + lambda_cls CE(D_cls(G(x, c)), c) + lambda_rec |x - G(G(x, c), c_src)|_1."""
        fake = self.generator(image, self._one_hot(target))
        realness, logits = self.critic(fake)
        back = self.generator(fake, self._one_hot(expression))
        loss: Tensor = (
            LAMBDA_CLS * F.cross_entropy(logits, target)
            - realness.mean()
            + LAMBDA_REC * (image - back).abs().mean()
        )
        return loss

    def _one_hot(self, label: Tensor) -> Tensor:
        return F.one_hot(label, self.num_classes).float()
