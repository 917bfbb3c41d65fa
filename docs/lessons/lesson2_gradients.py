# %% [markdown]
# # Lesson 2: gradients, by hand and by tape
#
# A model learns by changing its parameters so that an error becomes smaller. The gradient says, for
# each parameter, how fast the error grows when the parameter grows. A small step in the opposite
# direction makes the error smaller.
#
# A little history: Leibniz used the chain rule in 1676. Seppo Linnainmaa (master's thesis, Helsinki
# 1970) let a computer apply it backwards through a program, and `backward()` does just that.

# %%
import math

import tinyxp as tx

# %% [markdown]
# ## One neuron
# The input is x = 2 and the target t = 1. The neuron's output is y = tanh(w x + b), and its error
# is L = (y - t)^2.

# %%
x, t = 2.0, 1.0
w, b = -0.3, 0.1


def error(w, b):
    return (math.tanh(w * x + b) - t) ** 2


print(f"error at w = {w}, b = {b}: {error(w, b):.6f}")

# %% [markdown]
# ## First way: differences
# Shift w a little in both directions and measure the slope. This is the *central difference*. It
# needs two evaluations for each parameter: two million for a model with a million parameters.

# %%
eps = 1e-5
slope = (error(w + eps, b) - error(w - eps, b)) / (2 * eps)
print(f"dL/dw by differences: {slope:.6f}")

# %% [markdown]
# ## Second way: by hand
# Split the formula into a chain, s = w x + b, y = tanh s, L = (y - t)^2, and multiply the
# derivatives from the end to the start: dL/dy = 2 (y - t), dy/ds = 1 - y^2, ds/dw = x, ds/db = 1.

# %%
y = math.tanh(w * x + b)
dy = 2 * (y - t)
ds = dy * (1 - y * y)
dw, db = ds * x, ds * 1
print(f"dL/dw by hand:        {dw:.6f}   dL/db: {db:.6f}")

# %% [markdown]
# ## Third way: the tape
# tinyxp records every operation on a tensor with `requires_grad=True`. The record is called the
# tape. `backward()` goes through it from the end to the start and multiplies, as we did by hand.

# %%
W, B = tx.asarray(w, requires_grad=True), tx.asarray(b, requires_grad=True)
L = (tx.tanh(W * x + B) - t) ** 2
L.backward()
print(f"dL/dw by tape:        {W.grad.item():.6f}   dL/db: {B.grad.item():.6f}")

# %% [markdown]
# All three ways give the same number. From now on we use the tape, and we know what it computes.
#
# ## Two common mistakes
# `backward()` *adds* to `.grad`. This is useful if an error has several parts, and wrong from one
# step to the next: clear the gradients before each step (`optimizer.zero_grad()` in later lessons).

# %%
L = (tx.tanh(W * x + B) - t) ** 2
L.backward()
print(f"dL/dw after a second backward(): {W.grad.item():.6f}, twice as much")

# %% [markdown]
# The tape cannot follow a value that leaves tinyxp, for example by `numpy()`. So that no gradient
# is lost unnoticed, `numpy()` refuses a tensor that requires a gradient; use `detach()` to allow
# it.

# %%
try:
    W.numpy()
except tx.errors.GradientError as refusal:
    print("GradientError:", refusal)

# %% [markdown]
# ## Broadcasting backwards
# A batch of n inputs uses the same b n times: the forward pass broadcasts it. In the backward pass
# the gradient of b is therefore the *sum* over the batch.

# %%
xs = tx.asarray([2.0, -1.0, 0.5])
W, B = tx.asarray(w, requires_grad=True), tx.asarray(b, requires_grad=True)
s = W * xs + B
tx.sum(s).backward()
print("d(sum of s)/db =", B.grad.item(), "- one for each of the 3 inputs")
print("d(sum of s)/dw =", W.grad.item(), "- the sum of the inputs")

# %% [markdown]
# ## Gradient descent
# After ten steps against the gradient, the neuron's output is almost 1.

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
#   Compute it by hand: the check runs it without a tape.
# * `numerical_gradient(f, w)`: for any function f of a float64 tensor w (d,) that returns a number,
#   the central differences, as a tensor (d,).
#
# Then run `tinyxp check lesson2 my_gradients.py`
