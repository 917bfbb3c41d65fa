"""Healthy models, some of which look broken."""

import copy

import numpy as np

import tinyxp as tx
from tests.debug.gallery import healthy, points, squares
from tinyxp import nn
from tinyxp.models.transformer import GPT, Config
from tinyxp.nn import functional as F

IDS = tx.asarray(np.random.default_rng(0).integers(0, 9, (4, 6)))


def classes(n, k=2):
    return tx.asarray(np.arange(n) % k)


def trained(model, run, lr=1e-2):
    return model, run, tx.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)


@healthy
def relu_mlp():
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(),
                          nn.Linear(16, 3))  # fmt: skip
    x, y = points(30, 4), classes(30, 3)
    return trained(model, lambda: F.cross_entropy(model(x), y))


@healthy
def a_line():
    model, x = nn.Linear(3, 1), points(20, 3)
    return trained(model, lambda: squares(model(x)))


@healthy
def tanh_and_sigmoid():
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Sigmoid(),
                          nn.Linear(8, 1))  # fmt: skip
    x, y = tx.data.xor_points()
    return trained(
        model, lambda: F.binary_cross_entropy_with_logits(model(x)[:, 0], y.astype(tx.float32))
    )


@healthy
def cnn_with_batch_norm():
    """The convolutions' biases have no effect: the means are taken away right behind them."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    x, y = points(12, 1, 8, 8), classes(12, 3)
    return trained(model, lambda: F.cross_entropy(model(x), y))


@healthy
def weights_bounded_through_data():
    model, x = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)), points(20, 4)

    def run():
        for p in model.parameters():
            p.data = p.data.clip(-0.9, 0.9)
        return squares(model(x))

    return trained(model, run)


@healthy
def lstm():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.lstm = nn.Embedding(9, 6), nn.LSTM(6, 8, batch_first=True)
            self.head = nn.Linear(8, 2)

        def forward(self, ids):
            return self.head(self.lstm(self.embed(ids))[0][:, -1])

    model = Reader()
    return trained(model, lambda: F.cross_entropy(model(IDS), classes(4)))


@healthy
def gru():
    rnn = nn.GRU(3, 8, batch_first=True)
    x = points(4, 6, 3)
    return trained(rnn, lambda: squares(rnn(x)[0]))


@healthy
def transformer_encoder():
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    x = points(3, 5, 8)
    return trained(model, lambda: squares(model(x)))


@healthy
def gpt():
    model = GPT(Config(n_layer=2, n_embd=16, n_head=2, block_size=6), 9)
    return trained(model, lambda: model.loss((IDS[:, :-1], IDS[:, 1:])))


@healthy
def attention_by_hand():
    """The key's bias has no effect: a softmax does not see what is added to all scores."""

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))

        def forward(self, x):
            scores = self.q(x) @ self.k(x).mT / 8**0.5
            later = tx.triu(tx.ones((5, 5)), k=1) == 1
            return tx.softmax(tx.where(later, -float("inf"), scores), dim=-1) @ self.v(x)

    model, x = Attention(), points(3, 5, 8)
    return trained(model, lambda: squares(model(x)))


@healthy
def autoencoder():
    coder = nn.Sequential(nn.Linear(8, 3), nn.GELU())
    model = nn.ModuleList([coder, nn.Linear(3, 8)])
    x = points(20, 8)
    return trained(model, lambda: F.mse_loss(model[1](model[0](x)), x))


@healthy
def residual_net():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.fc = nn.LayerNorm(6), nn.Linear(6, 6)

        def forward(self, x):
            return x + F.relu(self.fc(self.norm(x)))

    model, x = nn.Sequential(*(Block() for _ in range(8)), nn.Linear(6, 2)), points(10, 6)
    return trained(model, lambda: squares(model(x)))


@healthy
def embedding_bag():
    model = nn.Sequential(nn.EmbeddingBag(9, 5, mode="mean"), nn.Linear(5, 2))
    return trained(model, lambda: F.cross_entropy(model(IDS), classes(4)))


@healthy
def a_frozen_backbone():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    model[0].requires_grad_(False)
    x = points(10, 4)
    return trained(model, lambda: squares(model(x)))


@healthy
def logging_beside_the_loss():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    average = copy.deepcopy(model)
    x, y, log = points(12, 4), classes(12, 3), []

    def run():
        hidden = model[1](model[0](x))
        log.append(hidden.detach().numpy().mean())
        logits = model[2](hidden)
        with tx.no_grad():
            right = tx.argmax(logits, axis=-1) == y
            log.append(right.astype(tx.float32).mean().item())
            for old, new in zip(average.parameters(), model.parameters(), strict=True):
                old += 0.1 * (new - old)
        loss = F.cross_entropy(logits, y)
        log.append(loss.item())
        log.append(float(np.abs(model[0].weight.array).max()))
        return loss

    return trained(model, run)


@healthy
def weights_changed_in_place_within_the_pass():
    """As a step changes them, and their averages: no gradient is lost by that."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    average, x = copy.deepcopy(model).requires_grad_(False), points(12, 4)

    def run():
        with tx.no_grad():
            first, bias = model[0].weight, model[0].bias
            first.mul_(0.99)
            first *= 0.99
            first.clamp_(-1.0, 1.0)
            first[...] = first - 0.01 * first
            first[0].mul_(0.9)
            bias.fill_(0.1)
            model[2].bias.copy_(model[2].bias * 0.5)
            for old, new in zip(average.parameters(), model.parameters(), strict=True):
                old.mul_(0.9).add_(0.1 * new)
        first.detach().mul_(0.99)
        return squares(model(x)) + ((model(x) - average(x)) ** 2).mean()

    return trained(model, run)


@healthy
def constants_made_in_forward():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
            self.waves = tx.sin(tx.arange(4, dtype=tx.float32))  # a plain constant

        def forward(self, x):
            scale = tx.asarray(np.linspace(0.5, 1.5, 4).astype("float32"))
            mask = tx.asarray((np.arange(4) % 2).astype("float32"))
            h = self.fc(x) * scale + self.waves
            return self.head(h * mask + tx.where(h > 0, h, 0.1 * h))

    model, x = Net(), points(8, 4)
    return trained(model, lambda: squares(model(x)))


@healthy
def tied_weights():
    model = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Tanh(), nn.Linear(5, 5))
    model[2].weight = model[0].weight
    x = points(10, 5)
    return trained(model, lambda: squares(model(x)))


@healthy
def recomputed():
    model, x = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)), points(10, 4)

    def run():
        hidden = tx.recompute(lambda z: model[1](model[0](z)), x)
        return squares(model[2](hidden))

    return trained(model, run)
