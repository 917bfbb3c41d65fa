# %% [markdown]
# # Lesson 5: the multi-layer perceptron reads digits
#
# A hidden layer solved XOR. With more units, the same idea reads handwritten digits. Rumelhart,
# Hinton and Williams ("Learning representations by back-propagating errors", Nature 323, 1986)
# stressed that hidden units find useful features by themselves. We compare this with a control.
#
# The images have 8 x 8 pixels. 43 people wrote the digits of the data set, 13 of them those used
# here (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
# Repository, 1998, CC BY 4.0). The images are part of tinyxp, so nothing is downloaded.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: more threads only wait

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F

train, test = tx.data.load_digits()
x, y = train.tensors
print("for training:", x.shape, "for testing:", test.tensors[0].shape)
print("a", y[0].item(), "looks like this:")
for row in x[0, 0].tolist():
    print("   ", "".join(" .:oO#@@@"[int(pixel * 8)] * 2 for pixel in row))

# %% [markdown]
# ## From scores to a loss
# The model computes 10 scores for each image, the *logits* z. Softmax turns them into
# probabilities, p = exp(z) / sum exp(z), and the loss is -log p[label], which is large if the true
# digit has a low probability. `F.cross_entropy(logits, labels)` computes both, so the model ends
# without a softmax.

# %%


class MLP(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.features = nn.Linear(64, hidden)
        self.readout = nn.Linear(hidden, 10)

    def forward(self, x):  # (n, 1, 8, 8) -> (n, 10)
        h = x.flatten(1)  # (n, 64)
        h = tx.tanh(self.features(h))  # (n, hidden)
        return self.readout(h)


tx.manual_seed(0)
model = MLP()
print(model)
print(f"loss before training: {F.cross_entropy(model(x), y).item():.3f}")
print("equal probabilities give ln 10 = 2.303")

# %% [markdown]
# ## The training loop
# Most of deep learning trains like this. One pass over all images is an *epoch*. Each step uses a
# *batch* of 32 images: many steps with a rough gradient learn faster than a few with an exact one.

# %%


def train_one_epoch(model, optimizer, x, y):
    order, total = tx.randperm(len(x)), 0.0
    for start in range(0, len(x), 32):
        batch = order[start : start + 32]
        loss = F.cross_entropy(model(x[batch]), y[batch])  # forward
        optimizer.zero_grad()  # forget the last step's gradient
        loss.backward()  # backward: a gradient for every parameter
        optimizer.step()  # a small step against the gradient
        total += loss.item() * len(batch)
    return total / len(x)


def accuracy(model, data):
    x, y = data.tensors
    return tx.mean((tx.argmax(model(x), axis=1) == y).astype(tx.float64)).item()


def fit(model, parameters, epochs=15):
    optimizer = tx.optim.Adam(parameters, lr=5e-3)
    for epoch in range(epochs):
        loss = train_one_epoch(model, optimizer, x, y)
        if epoch in (0, 4, epochs - 1):
            right = accuracy(model, test)
            print(f"  epoch {epoch + 1:2d}: loss {loss:.3f}, unseen digits {right:.1%}")


print("the MLP")
fit(model, model.parameters())

# %% [markdown]
# The loss is measured on the training images, and the accuracy on 360 images that are not used for
# training.
#
# ## The control
# Did the hidden units learn useful features, or would random ones be as good? We train the same
# model again, but only its readout: the hidden layer keeps its random initial weights.

# %%
tx.manual_seed(0)
control = MLP()
before = control.features.weight.detach()
print("the control: hidden layer frozen")
fit(control, control.readout.parameters())
unchanged = tx.all(control.features.weight.detach() == before).item()
print("  is its hidden layer unchanged?", unchanged)
gap = accuracy(model, test) - accuracy(control, test)
print(f"learned features are ahead by {100 * gap:.1f} points")

# %% [markdown]
# Random features are useful too, but learned features are better after the same training. The loss
# of the control falls as well: from the loss alone we might conclude that all layers learn.
#
# ## Its mistakes

# %%
images, labels = test.tensors
answers = tx.argmax(model(images), axis=1)
wrong = [i for i, right in enumerate((answers == labels).tolist()) if not right]
print(f"{len(wrong)} of {len(labels)} are misread:", end=" ")
print(", ".join(f"a {labels[i].item()} as {answers[i].item()}" for i in wrong[:6]))

# %% [markdown]
# ## Exercise
# Write `my_mlp.py`:
#
# * `class MLP(nn.Module)`, called as `MLP()`: images (n, 1, 8, 8) -> logits (n, 10).
# * `train_one_epoch(model, optimizer, x, y)`: one pass over all images, in batches. Returns the
#   mean loss. It must work for any model and optimizer. Your MLP must classify at least 95% of
#   unseen digits correctly after 12 epochs with Adam(lr=5e-3).
#
# Then run `tinyxp check lesson5 my_mlp.py`
