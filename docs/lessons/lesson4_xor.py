# %% [markdown]
# # Lesson 4: XOR
#
# Marvin Minsky and Seymour Papert ("Perceptrons", 1969) studied what a perceptron can *never*
# learn, no matter how long it is trained. The smallest example is XOR, "one or the other, but not
# both".

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
# A line puts a point into class 1 if w1 x1 + w2 x2 + b > 0. For all four corners it would need
#
#     (0, 0) -> 0:                b <= 0
#     (0, 1) -> 1:           w2 + b > 0
#     (1, 0) -> 1:      w1      + b > 0
#     (1, 1) -> 0: w1 + w2      + b <= 0
#
# The two inequalities in the middle add up to w1 + w2 + 2b > 0, the other two to w1 + w2 + 2b <= 0.
# They contradict each other. Three corners are possible, four are not. We can also try many lines:

# %%
grid = tx.linspace(-2, 2, 41)
w1, w2, b = tx.meshgrid(grid, grid, grid, indexing="xy")
right = tx.zeros(w1.shape, dtype=tx.int64)
for (x1, x2), y in zip(corners.tolist(), labels.tolist(), strict=True):
    answers = w1 * x1 + w2 * x2 + b > 0
    right = right + (answers == (y == 1)).astype(tx.int64)
print(f"of {right.size:,} lines, the best gets {tx.max(right).item()} of 4 corners right")

# %% [markdown]
# ## A hidden layer
# A first layer computes new features of each point, and a second layer separates the classes by
# *these*. A line between the features is a curve between the points. David Rumelhart, Geoffrey
# Hinton and Ronald Williams ("Learning representations by back-propagating errors", Nature 323,
# 1986) trained such layers by the chain rule of lesson 2.


# %%
class Net(nn.Module):
    def __init__(self, hidden=8, activation=tx.tanh):
        super().__init__()
        self.features = nn.Linear(2, hidden)
        self.line = nn.Linear(hidden, 1)
        self.activation = activation

    def forward(self, x):  # (n, 2) -> (n,)
        return self.line(self.activation(self.features(x)))[:, 0]


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
new = tx.data.xor_points(400, Generator(1))
tx.manual_seed(0)
net = Net()
print("with a hidden layer and a non-linearity (tanh)")
train(net, x, y)
print(f"  new points right: {accuracy(net, *new):.1%}")


def score(p):
    return net(tx.asarray(p)).detach().numpy()


print(Boundary(score, x.numpy(), y.numpy(), "two layers").text())

# %% [markdown]
# ## The control
# Is the second layer the reason, or the non-linearity between the layers? We train the same net
# without tanh: W2 (W1 x + b1) + b2 is again a matrix times x plus a number, so it is one line.

# %%
tx.manual_seed(0)
linear = Net(activation=lambda h: h)
print("the same without the non-linearity")
train(linear, x, y)
print(f"  new points right: {accuracy(linear, *new):.1%}")

# %% [markdown]
# A loss near 0.693 = ln 2 means that the net gives both classes the probability 1/2: it has learned
# nothing. The non-linearity makes the difference. All networks of the next lessons have one between
# their layers.
#
# ## Exercise
# Write `my_xor.py`:
#
# * `wrong_corner(w, b)`: for *any* line w (2,), b, a corner such as `(0, 1)` that it gets wrong.
#   A score of 0 means class 0. The proof above says that there is always such a corner.
# * `class Net(nn.Module)`, made by `Net()`: points (n, 2) -> scores (n,), class 1 above 0.
# * `train(net, x, y)`: trains it on points x (n, 2) and labels y (n,) until it solves XOR, from
#   any initial weights.
#
# Then run `tinyxp check lesson4 my_xor.py`
