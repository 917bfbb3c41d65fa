# %% [markdown]
# # Lesson 3: the perceptron
#
# The perceptron was one of the first machines that learned from examples. Frank Rosenblatt ("The
# perceptron: a probabilistic model for information storage and organization in the brain",
# Psychological Review 65, 1958) added up weighted inputs. If the sum is above a threshold, the
# output is 1, otherwise 0. The machine changes its weights only after a wrong answer.

# %%
import tinyxp as tx
from tinyxp.plots import Boundary
from tinyxp.random import Generator

points, labels = tx.data.two_clouds(60, Generator(0))
print("60 points of two classes:", points.shape, "labels", labels[:10])

# %% [markdown]
# ## The rule
# The score of a point is s = w . x + b, and the machine answers 1 if s > 0. With the target t = +1
# for class 1 and t = -1 for class 0, the rule is:
#
#     right answer:  change nothing
#     wrong answer:  w <- w + t x,  b <- b + t
#
# The rule helps because the score of this point becomes s + t (x . x + 1): as x . x + 1 is
# positive, the score moves in the direction of the target.

# %%
w, b = tx.zeros(2), 0.0
x, y = tx.asarray([2.0, 1.0]), 1
print("score before:", (w @ x + b).item(), "- the answer is 0, and the label is", y)
w, b = w + x, b + 1
print("score after: ", (w @ x + b).item(), "= 0 + (2*2 + 1*1) + 1")

# %% [markdown]
# ## Training
# We repeat rounds over all points until one round makes no mistake. Albert Novikoff ("On
# convergence proofs on perceptrons", 1962) proved that this ends after a finite number of mistakes
# if some line separates the classes. The wider the gap between the classes, the fewer mistakes.

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
# ## Did it learn a rule, or only these points?
# To find out, we test it with new points.

# %%


def accuracy(points, labels):
    answers = points @ w + b > 0
    return tx.mean((answers == (labels == 1)).astype(tx.float64)).item()


new = tx.data.two_clouds(500, Generator(1))
print(f"on the 60 training points: {accuracy(points, labels):.1%}")
print(f"on 500 new points:         {accuracy(*new):.1%}")
picture = Boundary(
    lambda p: (tx.asarray(p) @ w + b).numpy(), points.numpy(), labels.numpy(), "the line it found"
)
print(picture.text())

# %% [markdown]
# The rule stops at the first line without mistakes, which need not lie in the middle of the gap.
# With other points it can classify new points near the line wrongly.
#
# ## What it cannot do
# The four points of "exclusive or" (XOR) have the label 1 if exactly one coordinate is 1. We apply
# the same rule for 100 rounds:

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
print(f"XOR after 100 rounds: the best round had {best:.0%} right, and it never converges")

# %% [markdown]
# A line can classify three of the four points correctly, but the rule does not stay at such a line:
# each correction causes another mistake. Lesson 4 shows why no line classifies all four correctly,
# and what does.
#
# ## Exercise
# Write `my_perceptron.py`:
#
# * `perceptron_step(w, b, x, y)`: w (2,), b a number, one point x (2,), its label y (0 or 1).
#   Returns the new `w, b` by Rosenblatt's rule. A score of exactly 0 means class 0.
# * `train(points, labels)`: points (n, 2), labels (n,) of 0 and 1. Returns `w, b` that classify all
#   points correctly, if a line can. It must also end if no line can.
#
# Then run `tinyxp check lesson3 my_perceptron.py`
