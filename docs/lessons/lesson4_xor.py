# %% [markdown]
# # Lesson 4: XOR
#
# Marvin Minsky and Seymour Papert ("Perceptrons", 1969) asked what a perceptron can *never* learn,
# however long it is trained. The smallest case is XOR, "one or the other, but not both".

# %%
import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F
from tinyxp.plots import Boundary
from tinyxp.random import Generator

corners, labels = tx.data.xor_points()
for (x1, x2), y in zip(corners.tolist(), labels.tolist(), strict=True):
    print(f"({x1:.0f}, {x2:.0f}) -> {y}")

# %% [markdown]
# ## No line: a proof in four lines
# A line says 1 where w1 x1 + w2 x2 + b > 0. For all four corners it would need
#
#     (0, 0) -> 0:                b <= 0
#     (0, 1) -> 1:           w2 + b > 0
#     (1, 0) -> 1:      w1      + b > 0
#     (1, 1) -> 0: w1 + w2      + b <= 0
#
# The two in the middle add up to w1 + w2 + 2b > 0, the outer two to w1 + w2 + 2b <= 0. Both
# cannot be. Three corners are possible, four never. A proof needs no computer, but let us look:

# %%
grid = tx.linspace(-2, 2, 41)
w1, w2, b = tx.meshgrid(grid, grid, grid, indexing="xy")
right = tx.zeros(w1.shape, dtype=tx.int64)
for (x1, x2), y in zip(corners.tolist(), labels.tolist(), strict=True):
    said = w1 * x1 + w2 * x2 + b > 0
    right = right + (said == (y == 1)).astype(tx.int64)
print(f"of {right.size:,} lines, the best gets {tx.max(right).item()} of 4 corners right")

# %% [markdown]
# ## A hidden layer
# Let one layer make new features of the points, and a second layer draw its line among *them*. A
# line in a bent plane is a curve in ours. David Rumelhart, Geoffrey Hinton and Ronald Williams
# ("Learning representations by back-propagating errors", Nature 323, 1986) trained such layers by
# the chain rule of lesson 2.


# %%
class Net(nn.Module):
    def __init__(self, hidden=8, bend=tx.tanh):
        super().__init__()
        self.features = nn.Linear(2, hidden)
        self.line = nn.Linear(hidden, 1)
        self.bend = bend

    def forward(self, x):  # (n, 2) -> (n,)
        return self.line(self.bend(self.features(x)))[:, 0]


def train(net, x, y, steps=300):
    optimizer = tx.optim.Adam(net.parameters(), lr=0.05)
    for step in range(steps):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(net(x), y.astype(tx.float32))
        loss.backward()
        optimizer.step()
        if step in (0, steps // 4, steps - 1):
            print(f"  step {step:3d}: loss {loss.item():.4f}")


def accuracy(net, x, y):
    return tx.mean(((net(x) > 0) == (y == 1)).astype(tx.float64)).item()


x, y = tx.data.xor_points(100, Generator(0))
fresh = tx.data.xor_points(400, Generator(1))
tx.manual_seed(0)
net = Net()
print("with a hidden layer and a bend (tanh)")
train(net, x, y)
print(f"  fresh points right: {accuracy(net, *fresh):.1%}")


def ask(p):
    return net(tx.asarray(p)).detach().numpy()


print(Boundary(ask, x.numpy(), y.numpy(), "two layers").text())

# %% [markdown]
# ## The control
# Is it the second layer that does it, or the bend between the two? The same net without tanh:
# W2 (W1 x + b1) + b2 is again a matrix times x plus a number, one line.

# %%
tx.manual_seed(0)
straight = Net(bend=lambda h: h)
print("the same without the bend")
train(straight, x, y)
print(f"  fresh points right: {accuracy(straight, *fresh):.1%}")

# %% [markdown]
# At a loss near 0.693 = ln 2 a net says "half and half" of everything: it has given up. The bend
# makes the difference. That is why every network of the next lessons has one between its layers.
#
# ## Exercise
# Write `my_xor.py`:
#
# * `wrong_corner(w, b)`: for *any* line w (2,), b, a corner such as `(0, 1)` that it gets wrong.
#   (Score 0 says class 0.) That there always is one is the proof above.
# * `class Net(nn.Module)`, made by `Net()`: points (n, 2) -> scores (n,), class 1 above 0.
# * `train(net, x, y)`: trains it on points x (n, 2) and labels y (n,) until it solves XOR, from
#   whatever start.
#
# Then ask: `tinyxp check lesson4 my_xor.py`
