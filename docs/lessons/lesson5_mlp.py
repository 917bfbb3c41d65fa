# %% [markdown]
# # Lesson 5: the multi-layer perceptron reads digits
#
# A hidden layer solved XOR. The same idea, wider, reads handwriting: Rumelhart, Hinton and Williams
# ("Learning representations by back-propagating errors", Nature 323, 1986) stressed that hidden
# units find useful features by themselves. We test that claim below, against a control.
#
# The digits: 8 x 8 pixels, written by 43 people of whom 13 wrote those used here (E. Alpaydin and
# C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
# CC BY 4.0). They come with tinyxp, no network is needed.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: more threads only wait

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F

train, test = tx.data.load_digits()
x, y = train.tensors
print("to learn from:", x.shape, "to be tested on:", test.tensors[0].shape)
print("a", y[0].item(), "looks like this:")
for row in x[0, 0].tolist():
    print("   ", "".join(" .:oO#@@@"[int(pixel * 8)] * 2 for pixel in row))

# %% [markdown]
# ## From scores to a loss
# The model gives 10 scores for each image, the *logits*. Softmax makes probabilities of them,
# p = exp(z) / sum exp(z); the loss is the surprise about the true digit, -log p[label]. Both
# together are `F.cross_entropy(logits, labels)`, so the model itself ends without a softmax.

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
print("an even guess has ln 10 = 2.303")

# %% [markdown]
# ## The training loop
# All of deep learning trains like this. One round over all images is an *epoch*; each step takes a
# *batch* of 32, because a rough direction from a few images, often, beats an exact one, seldom.

# %%


def train_one_epoch(model, optimizer, x, y):
    order, total = tx.randperm(len(x)), 0.0
    for start in range(0, len(x), 32):
        batch = order[start : start + 32]
        loss = F.cross_entropy(model(x[batch]), y[batch])  # forward
        optimizer.zero_grad()  # forget the last step's gradient
        loss.backward()  # backward: a gradient for every parameter
        optimizer.step()  # a small step down the slope
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
# The loss is measured on images that it learns from, the accuracy on 360 that it never saw.
#
# ## The control
# Did the hidden units learn features, or would random ones do? The same model; only the readout is
# trained, the hidden layer stays as it was drawn.

# %%
tx.manual_seed(0)
control = MLP()
before = control.features.weight.detach()
print("the control: hidden layer frozen")
fit(control, control.readout.parameters())
still = tx.all(control.features.weight.detach() == before).item()
print("  did its hidden layer stay as it was?", still)
gap = accuracy(model, test) - accuracy(control, test)
print(f"learned features are ahead by {100 * gap:.1f} points")

# %% [markdown]
# Random features are not useless; learned ones are better after the same training. Had we only
# looked at the falling loss of the control, we might have believed that all of it learns.
#
# ## What it gets wrong

# %%
images, labels = test.tensors
said = tx.argmax(model(images), axis=1)
wrong = [i for i, right in enumerate((said == labels).tolist()) if not right]
print(f"{len(wrong)} of {len(labels)} are misread:", end=" ")
print(", ".join(f"a {labels[i].item()} as {said[i].item()}" for i in wrong[:6]))

# %% [markdown]
# ## Exercise
# Write `my_mlp.py`:
#
# * `class MLP(nn.Module)`, made by `MLP()`: images (n, 1, 8, 8) -> logits (n, 10).
# * `train_one_epoch(model, optimizer, x, y)`: one round over all images, in batches; returns the
#   mean loss. It must work for any model and optimizer, and yours must read at least 95% of unseen
#   digits after 12 epochs with Adam(lr=5e-3).
#
# Then ask: `tinyxp check lesson5 my_mlp.py`
