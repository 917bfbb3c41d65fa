import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Linear(64, 32)
        self.readout = nn.Linear(32, 10)

    def forward(self, x):
        h = tx.tanh(self.features(x.flatten(1)))
        return self.readout(h)


def train_one_epoch(model, optimizer, x, y):
    order, total = tx.randperm(len(x)), 0.0
    for start in range(0, len(x), 32):
        batch = order[start : start + 32]
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(x)
