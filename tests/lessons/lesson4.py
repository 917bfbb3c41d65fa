import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F


def wrong_corner(w, b):
    for (x1, x2), label in {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 0}.items():
        score = w[0] * x1 + w[1] * x2 + b
        if (score > 0) != (label == 1):
            return x1, x2
    return None


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.bend = nn.Linear(2, 8)
        self.line = nn.Linear(8, 1)

    def forward(self, x):
        h = tx.tanh(self.bend(x))
        return self.line(h)[:, 0]


def train(net, x, y):
    optimizer = tx.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(net(x), y.astype(tx.float32))
        loss.backward()
        optimizer.step()
