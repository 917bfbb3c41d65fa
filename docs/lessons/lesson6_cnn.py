# %% [markdown]
# # Lesson 6: the convolutional network
#
# The MLP treats an image as a list of 64 numbers. It does not use which pixels are neighbours, so
# that a digit shifted by one pixel looks entirely different to it. Kunihiko Fukushima
# ("Neocognitron", Biological Cybernetics 36, 1980) and Yann LeCun and others ("Gradient-based
# learning applied to document recognition", Proceedings of the IEEE 86, 1998) applied the same
# small filter at every position of the image.

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
# Put a 3 x 3 filter on the image, multiply each pixel by the filter's number at the same place, and
# add the products up: this gives one number. Then move the filter by one pixel and repeat. The
# filter below gives large numbers where the left is dark and the right is bright: it finds vertical
# edges.

# %%
image = tx.asarray([[0.0, 0, 0, 9, 9, 9]] * 3 + [[0.0, 0, 0, 0, 0, 0]] * 3)
edge = tx.asarray([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])
print("the image")
show(image)
answer = F.conv2d(image[None, None], edge[None, None])[0, 0]
print("the filter's output, of shape", answer.shape, "(6 - 3 + 1 in each direction)")
show(answer)
by_hand = tx.sum(image[0:3, 1:4] * edge)
print("by hand at row 0, column 1:", by_hand.item())

# %% [markdown]
# Where the window holds only a part of the edge, the numbers are smaller; without an edge they are
# 0. The filters of a network are not designed by hand: they start as random numbers and are trained
# with gradients, like all parameters.
#
# ## A shifted image gives a shifted output
# The output shifts with the image: a feature that was learned at one place is recognized at all
# places.

# %%
shifted = tx.roll(image, 1, axis=0)
shifted_answer = F.conv2d(shifted[None, None], edge[None, None])[0, 0]
same = tx.all(shifted_answer[1:] == answer[:-1]).item()
print("shifting the image down by one shifts the output down by one:", same)

# %% [markdown]
# ## A network of filters
# The network applies 16 filters, a non-linearity, and pooling, which keeps the largest of each 2 x
# 2 numbers, so that the exact position matters less. A second block of these works on the 16
# outputs, and a linear layer reads out the classes.


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
# Both models have about the same number of parameters and see the same number of images. The last
# column tests the idea: the same unseen digits, each shifted by one pixel to the right.

# %%
images, labels = test.tensors
shifted = tx.roll(images, 1, axis=3)
print("      parameters   unseen   unseen and shifted")
for name, model in models.items():
    size = sum(p.size for p in model.parameters())
    print(f"{name}   {size:10,}   {accuracy(model, images, labels):6.1%}   "
          f"{accuracy(model, shifted, labels):18.1%}")  # fmt: skip

# %% [markdown]
# On the original digits the two are close. On the shifted ones the CNN loses far less accuracy. It
# was not trained on shifted digits: the filters and the pooling make the difference. It is not
# perfect, because the readout still depends on the place of a feature among 2 x 2 places.
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
#   from slices, products and sums (or `tx.einsum`); try it without `F.conv2d`. The filter is not
#   flipped, and there is no padding. Gradients must flow to x and w.
# * `class CNN(nn.Module)`, called as `CNN()`: images (n, 1, 8, 8) -> logits (n, 10), with filters.
#   After 600 steps of Adam it must classify 95% of unseen digits correctly.
#
# Then run `tinyxp check lesson6 my_cnn.py`
