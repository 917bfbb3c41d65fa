# %% [markdown]
# # Lesson 3: the perceptron
#
# The first machine that learned from examples. Frank Rosenblatt ("The perceptron: a probabilistic
# model for information storage and organization in the brain", Psychological Review 65, 1958) added
# up weighted inputs; above a threshold the machine says 1, else 0. Whenever it is wrong, and only
# then, it shifts its weights.

# %%
import tinyxp as tx
from tinyxp.plots import Boundary
from tinyxp.random import Generator

points, labels = tx.data.two_clouds(60, Generator(0))
print("60 points of two classes:", points.shape, "labels", labels[:10])

# %% [markdown]
# ## The rule
# The score of a point is s = w . x + b, and the machine says 1 where s > 0. With the target
# t = +1 for class 1 and t = -1 for class 0:
#
#     right:  change nothing
#     wrong:  w <- w + t x,  b <- b + t
#
# Why that helps: the score of this very point becomes s + t (x . x + 1), which moves towards its
# side, as x . x + 1 is above 0.

# %%
w, b = tx.zeros(2), 0.0
x, y = tx.asarray([2.0, 1.0]), 1
print("score before:", (w @ x + b).item(), "- says 0, and the label is", y)
w, b = w + x, b + 1
print("score after: ", (w @ x + b).item(), "= 0 + (2*2 + 1*1) + 1")

# %% [markdown]
# ## Training
# Round after round over all points, until a round without a mistake. Albert Novikoff ("On
# convergence proofs on perceptrons", 1962) proved: if any line parts the classes, this ends after
# finitely many mistakes. A wide gap means few.

# %%
w, b = tx.zeros(2), 0.0
for round_ in range(1, 101):
    mistakes = 0
    for x, y in zip(points, labels.tolist(), strict=True):
        if ((w @ x).item() + b > 0) != (y == 1):
            t = 2 * y - 1
            w, b = w + t * x, b + t
            mistakes += 1
    print(f"round {round_}: {mistakes} mistakes")
    if mistakes == 0:
        break
print(f"the line: {w[0].item():.2f} x1 + {w[1].item():.2f} x2 + {b:.2f} = 0")

# %% [markdown]
# ## Does it know, or did it learn by heart?
# Only points that it has never seen can tell.

# %%


def accuracy(points, labels):
    said = points @ w + b > 0
    return tx.mean((said == (labels == 1)).astype(tx.float64)).item()


fresh = tx.data.two_clouds(500, Generator(1))
print(f"on the 60 points it saw: {accuracy(points, labels):.1%}")
print(f"on 500 fresh points:     {accuracy(*fresh):.1%}")
picture = Boundary(
    lambda p: (tx.asarray(p) @ w + b).numpy(), points.numpy(), labels.numpy(), "the line it found"
)
print(picture.text())

# %% [markdown]
# The rule stops at the first line without mistakes, which need not be the one in the middle of the
# gap: with other points it can be wrong about fresh ones close to the line.
#
# ## What it cannot do
# Four points of "exclusive or", 1 where exactly one coordinate is 1. The same rule, 100 rounds:

# %%
points, labels = tx.data.xor_points()
w, b = tx.zeros(2), 0.0
best = 0.0
for _ in range(100):
    for x, y in zip(points, labels.tolist(), strict=True):
        if ((w @ x).item() + b > 0) != (y == 1):
            t = 2 * y - 1
            w, b = w + t * x, b + t
    best = max(best, accuracy(points, labels))
print(f"XOR after 100 rounds: the best round had {best:.0%} right, and it never comes to rest")

# %% [markdown]
# A line can get three of the four right, but this rule does not stay there: each mistake that it
# mends makes another. Why none gets all four, and what helps, is lesson 4.
#
# ## Exercise
# Write `my_perceptron.py`:
#
# * `perceptron_step(w, b, x, y)`: w (2,), b a number, one point x (2,), its label y (0 or 1).
#   Returns the new `w, b` by Rosenblatt's rule. A score of exactly 0 says class 0.
# * `train(points, labels)`: points (n, 2), labels (n,) of 0 and 1. Returns `w, b` that get all of
#   them right, if a line can; and comes to an end if none can.
#
# Then ask: `tinyxp check lesson3 my_perceptron.py`
