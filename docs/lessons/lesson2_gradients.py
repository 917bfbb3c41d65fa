# %% [markdown]
# # Lesson 2: gradients, by hand and by tape
#
# To learn is to change numbers so that an error falls. The gradient says, for each number, how fast
# the error grows with it. Walk against it, a little, and the error falls.
#
# History in a line: Leibniz had the chain rule in 1676; Seppo Linnainmaa (master's thesis, Helsinki
# 1970) let a computer apply it backwards through a program, which is all that `backward()` does.

# %%
import math

import tinyxp as tx

# %% [markdown]
# ## One neuron
# Input x = 2, target t = 1. The neuron says y = tanh(w x + b); its error is L = (y - t)^2.

# %%
x, t = 2.0, 1.0
w, b = -0.3, 0.1


def error(w, b):
    return (math.tanh(w * x + b) - t) ** 2


print(f"error at w = {w}, b = {b}: {error(w, b):.6f}")

# %% [markdown]
# ## First way: try it
# Shift w a little to both sides, and look at the slope. That is the *central difference*. It needs
# two evaluations for each parameter: a model with a million would need two million.

# %%
eps = 1e-5
slope = (error(w + eps, b) - error(w - eps, b)) / (2 * eps)
print(f"dL/dw by differences: {slope:.6f}")

# %% [markdown]
# ## Second way: by hand
# Cut the formula into links, s = w x + b, y = tanh s, L = (y - t)^2, and multiply their slopes from
# the end backwards: dL/dy = 2 (y - t), dy/ds = 1 - y^2, ds/dw = x, ds/db = 1.

# %%
y = math.tanh(w * x + b)
dy = 2 * (y - t)
ds = dy * (1 - y * y)
dw, db = ds * x, ds * 1
print(f"dL/dw by hand:        {dw:.6f}   dL/db: {db:.6f}")

# %% [markdown]
# ## Third way: the tape
# A tensor with `requires_grad=True` starts a tape: every operation on it is written down.
# `backward()` walks the tape back and multiplies, link by link, just as we did.

# %%
W, B = tx.asarray(w, requires_grad=True), tx.asarray(b, requires_grad=True)
L = (tx.tanh(W * x + B) - t) ** 2
L.backward()
print(f"dL/dw by tape:        {W.grad.item():.6f}   dL/db: {B.grad.item():.6f}")

# %% [markdown]
# Three ways, one number. From here on we let the tape do it, and know what it does.
#
# ## Two traps
# `backward()` *adds* to `.grad`. That is right within one error made of parts, and wrong from one
# step to the next: clear it before each step (`optimizer.zero_grad()` in later lessons).

# %%
L = (tx.tanh(W * x + B) - t) ** 2
L.backward()
print(f"dL/dw after a second backward(): {W.grad.item():.6f}, twice as much")

# %% [markdown]
# And whoever leaves tinyxp (`numpy()`, `item()`) leaves the tape. tinyxp refuses rather than
# let you lose a gradient in silence; `detach()` says that you mean it.

# %%
try:
    W.numpy()
except tx.errors.GradientError as said:
    print("GradientError:", said)

# %% [markdown]
# ## Broadcasting backwards
# With a batch of n inputs, one b serves all of them: it was repeated n times on the way there. On
# the way back its gradient is therefore the *sum* over the batch.

# %%
xs = tx.asarray([2.0, -1.0, 0.5])
W, B = tx.asarray(w, requires_grad=True), tx.asarray(b, requires_grad=True)
s = W * xs + B
tx.sum(s).backward()
print("d(sum of s)/db =", B.grad.item(), "- one for each of the 3 inputs")
print("d(sum of s)/dw =", W.grad.item(), "- the sum of the inputs")

# %% [markdown]
# ## Down the slope
# Ten steps against the gradient, and the neuron says almost 1.

# %%
w, b = tx.asarray(-0.3), tx.asarray(0.1)
for step in range(11):
    W, B = w.requires_grad_(), b.requires_grad_()
    L = (tx.tanh(W * x + B) - t) ** 2
    if step % 5 == 0:
        print(f"step {step:2d}: error {L.item():.6f}")
    L.backward()
    w, b = (W - 0.1 * W.grad).detach(), (B - 0.1 * B.grad).detach()

# %% [markdown]
# ## Exercise
# Write `my_gradients.py`:
#
# * `my_gradient(x, w, b, t)`: for inputs x (n, d), weights w (d,), a number b and targets t (n,),
#   the gradient of L = mean over n of (tanh(x @ w + b) - t)^2. Return `dw, db` of shapes (d,), ().
#   By hand: there is no tape during the check.
# * `numerical_gradient(f, w)`: for any function f of a float64 tensor w (d,) that returns a number,
#   the central differences, as a tensor (d,).
#
# Then ask: `tinyxp check lesson2 my_gradients.py`
