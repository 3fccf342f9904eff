"""Peers of benchmarks.games in PyTorch: an MLP GAN, a DCGAN, and the network that gives features.

Usual care: Adam with betas (.5, .999), batches of 128, the learning rate chosen from three by the
Frechet distance to training images held back, and the better of the last weights and their moving
average.  The MLP plays with the hinge loss and spectral normalisation, the DCGAN with the
non-saturating loss, batch normalisation and normal weights of deviation .02, as published.
"""

from __future__ import annotations

import copy
import time

import numpy as np
import torch
from torch import nn

BATCH, LATENTS = 128, 64
# Of the moving average of the generator's weights.
MEMORY = 0.999


def tensor(rows, shape):
    """Rows in [0, 1] as images (n, c, h, w)."""
    images = np.asarray(rows, dtype=np.float32).reshape(len(rows), *shape)
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def rows(images):
    return images.detach().permute(0, 2, 3, 1).reshape(len(images), -1).double().numpy()


class FeatureNet:
    """A small CNN trained on real images and labels; 64 penultimate numbers are the features."""

    def __init__(self, X, y, shape, epochs, seed=0):
        torch.manual_seed(seed)
        h, w, c = shape
        self.shape = shape
        self.net = nn.Sequential(
            nn.Conv2d(c, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * -(-h // 4) * -(-w // 4), 64), nn.ReLU(),
            nn.Linear(64, int(y.max()) + 1),
        )  # fmt: skip
        images, labels = tensor(X, shape), torch.as_tensor(y, dtype=torch.long)
        optimiser = torch.optim.Adam(self.net.parameters(), 1e-3)
        for _ in range(epochs):
            for part in torch.randperm(len(images)).split(BATCH):
                loss = nn.functional.cross_entropy(self.net(images[part]), labels[part])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()

    def __call__(self, X):
        with torch.no_grad():
            parts = tensor(np.clip(X, 0, 1), self.shape).split(1000)
            return torch.cat([self.net[:7](part) for part in parts]).double().numpy()

    def accuracy(self, X, y):
        with torch.no_grad():
            return float(np.mean(self.net(tensor(X, self.shape)).argmax(1).numpy() == y))


def mlp(shape):
    """Generator, discriminator."""
    h, w, c = shape
    size, norm = h * w * c, nn.utils.parametrizations.spectral_norm
    generator = nn.Sequential(
        nn.Linear(LATENTS, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(),
        nn.Linear(512, size), nn.Sigmoid(), nn.Unflatten(1, (c, h, w)),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Flatten(), norm(nn.Linear(size, 512)), nn.LeakyReLU(0.2),
        norm(nn.Linear(512, 256)), nn.LeakyReLU(0.2), norm(nn.Linear(256, 1)),
    )  # fmt: skip
    return generator, discriminator


def dcgan(shape, width=32):
    """Generator, discriminator; sides divisible by four."""
    h, w, c = shape
    top = (2 * width, h // 4, w // 4)
    generator = nn.Sequential(
        nn.Linear(LATENTS, int(np.prod(top)), bias=False), nn.Unflatten(1, top),
        nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width),
        nn.ReLU(), nn.ConvTranspose2d(width, c, 4, 2, 1), nn.Sigmoid(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Conv2d(c, width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width),
        nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(int(np.prod(top)), 1),
    )  # fmt: skip
    for net in (generator, discriminator):
        for layer in net:
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                nn.init.normal_(layer.weight, 0, 0.02)
    return generator, discriminator


def hinge(real, fake):
    return nn.functional.relu(1 - real).mean() + nn.functional.relu(1 + fake).mean()


def logistic(real, fake):
    return nn.functional.softplus(-real).mean() + nn.functional.softplus(fake).mean()


#: networks, loss of the discriminator, loss of the generator
KINDS = {
    "MLP GAN": (mlp, hinge, lambda fake: -fake.mean()),
    "DCGAN": (dcgan, logistic, lambda fake: nn.functional.softplus(-fake).mean()),
}


class GAN:
    """A GAN that can be trained on, and sampled from its last weights or their average."""

    def __init__(self, kind, X, shape, rate, seed=0):
        torch.manual_seed(seed)
        make, self.loss_d, self.loss_g = KINDS[kind]
        self.images, self.seconds, self.steps = tensor(X, shape), 0.0, 0
        self.generator, self.discriminator = make(shape)
        self.average = copy.deepcopy(self.generator)
        self.optimisers = [
            torch.optim.Adam(net.parameters(), rate, betas=(0.5, 0.999))
            for net in (self.generator, self.discriminator)
        ]

    def train(self, seconds):
        """Until it has been trained for so many seconds in all."""
        while self.seconds < seconds:
            start = time.process_time()
            self._step()
            self.seconds += time.process_time() - start
        return self

    def _step(self):
        real = self.images[torch.randint(len(self.images), (BATCH,))]
        fake = self.generator(torch.randn(BATCH, LATENTS))
        loss = self.loss_d(self.discriminator(real), self.discriminator(fake.detach()))
        self._descend(1, loss)
        self._descend(0, self.loss_g(self.discriminator(fake)))
        self.steps += 1
        memory = min(MEMORY, self.steps / (self.steps + 9))
        with torch.no_grad():
            for slow, fast in zip(
                self.average.state_dict().values(), self.generator.state_dict().values()
            ):
                slow.copy_(slow.lerp(fast, 1 - memory) if slow.is_floating_point() else fast)

    def _descend(self, which, loss):
        self.optimisers[which].zero_grad()
        loss.backward()
        self.optimisers[which].step()

    def samples(self, n, average, seed=0):
        torch.manual_seed(seed)
        net = (self.average if average else self.generator).eval()
        with torch.no_grad():
            drawn = [rows(net(z)) for z in torch.randn(n, LATENTS).split(1000)]
        net.train()
        return np.vstack(drawn)
