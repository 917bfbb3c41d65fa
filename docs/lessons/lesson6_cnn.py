# %% [markdown]
# # Lesson 6: the convolutional network
#
# To the MLP an image is a list of 64 numbers: it does not know that two of them are neighbours, and
# a digit moved by a pixel is a new one to it. Kunihiko Fukushima ("Neocognitron", Biological
# Cybernetics 36, 1980) and Yann LeCun and others ("Gradient-based learning applied to document
# recognition", Proceedings of the IEEE 86, 1998) slid the same small filter over the whole image.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: more threads only wait

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F


def show(image):
    for row in image.tolist():
        print("   ", " ".join(f"{value:4.0f}" for value in row))


# %% [markdown]
# ## One filter
# Lay a 3 x 3 filter on the image, multiply what lies on each other, add up: one number. Move on by
# a pixel. This filter is large where left is dark and right is bright: it finds upright edges.

# %%
image = tx.asarray([[0.0, 0, 0, 9, 9, 9]] * 3 + [[0.0, 0, 0, 0, 0, 0]] * 3)
edge = tx.asarray([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])
print("the image")
show(image)
found = F.conv2d(image[None, None], edge[None, None])[0, 0]
print("the filter's answer, of shape", found.shape, "(6 - 3 + 1 in each direction)")
show(found)
by_hand = tx.sum(image[0:3, 1:4] * edge)
print("by hand at row 0, column 1:", by_hand.item())

# %% [markdown]
# A smaller edge further down gives smaller numbers, no edge gives 0. Nobody designs the filters of
# a network: they start as random numbers, and the tape tells each of the 9 how to change.
#
# ## Moved image, moved answer
# The answer moves along with the image: what was learned at one place is known at all places.

# %%
moved = tx.roll(image, 1, axis=0)
moved_answer = F.conv2d(moved[None, None], edge[None, None])[0, 0]
same = tx.all(moved_answer[1:] == found[:-1]).item()
print("moving the image down by one moves the answer down by one:", same)

# %% [markdown]
# ## A network of filters
# 16 filters, a non-linearity, and pooling: of each 2 x 2 answers the largest one is kept, so that
# it no longer matters where exactly. Then a second round, over the 16 answers, and a readout.


# %%
class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.readout = nn.Linear(32 * 2 * 2, 10)

    def forward(self, x):  # (n, 1, 8, 8)
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (n, 16, 4, 4)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (n, 32, 2, 2)
        return self.readout(x.flatten(1))  # (n, 10)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Linear(64, 84)
        self.readout = nn.Linear(84, 10)

    def forward(self, x):
        return self.readout(tx.tanh(self.features(x.flatten(1))))


def fit(model, x, y, steps=900):
    optimizer = tx.optim.Adam(model.parameters(), lr=3e-3)
    batches = tx.data.DataLoader(tx.data.TensorDataset(x, y), 32, shuffle=True)
    done = 0
    while done < steps:
        for images, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
            done += 1
            if done == steps:
                break


def accuracy(model, x, y):
    with tx.no_grad():
        return tx.mean((tx.argmax(model(x), axis=1) == y).astype(tx.float64)).item()


train, test = tx.data.load_digits()
tx.manual_seed(0)
models = {"CNN": CNN(), "MLP": MLP()}
first = models["CNN"].conv1.weight.detach()
for model in models.values():
    fit(model, *train.tensors)

# %% [markdown]
# Both have about the same number of parameters and see the same number of images. The second
# column is the test of the idea: the same unseen digits, each moved by one pixel to the right.

# %%
images, labels = test.tensors
shifted = tx.roll(images, 1, axis=3)
print("      parameters   unseen   unseen and moved")
for name, model in models.items():
    size = sum(p.size for p in model.parameters())
    print(f"{name}   {size:10,}   {accuracy(model, images, labels):6.1%}   "
          f"{accuracy(model, shifted, labels):16.1%}")  # fmt: skip

# %% [markdown]
# On digits where they belong, the two are close. Moved, the CNN loses far less. It was never shown
# a moved digit: that it copes better comes from its filters and pooling. It is not perfect either:
# the readout still knows in which of 2 x 2 places a feature was.
#
# ## Did the filters learn?

# %%
change = tx.max(tx.abs(models["CNN"].conv1.weight.detach() - first)).item()
print(f"the largest change of a weight in the first filters: {change:.2f}")

# %% [markdown]
# ## Exercise
# Write `my_cnn.py`:
#
# * `conv2d(x, w)`: images x (n, c, h, w), filters w (o, c, k, l) -> (n, o, h - k + 1, w - l + 1),
#   out of slices, products and sums (or `tx.einsum`), without `F.conv2d`'s help if you are proud.
#   No flipping, no padding. Gradients must flow to x and w.
# * `class CNN(nn.Module)`, made by `CNN()`: images (n, 1, 8, 8) -> logits (n, 10), with filters.
#   600 steps of Adam must bring it to 95% of unseen digits.
#
# Then ask: `tinyxp check lesson6 my_cnn.py`
