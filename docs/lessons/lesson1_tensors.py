# %% [markdown]
# # Lesson 1: tensors
#
# A tensor is a box of numbers with axes. One axis is a list, two are a table, three a stack of
# tables. Everything that a neural network sees, knows and says is a tensor: 100 photographs of
# 8 x 8 pixels have the shape (100, 8, 8).
#
# History in a line: APL (Kenneth E. Iverson, "A Programming Language", 1962) wrote whole tables in
# one expression, without loops; NumPy (Harris et al., "Array programming with NumPy", Nature 585,
# 2020) made that the language of science in Python. tinyxp has NumPy's rules, as the Python Array
# API writes them down.

# %%
import tinyxp as tx

marks = tx.asarray([[1.0, 30.0], [2.0, 50.0], [3.0, 10.0]])
print("marks")
print(marks)
print("shape", marks.shape, "- 3 rows (pupils), 2 columns (tests);", marks.dtype)

# %% [markdown]
# ## Axes
# A reduction removes an axis. `axis=0` runs down the rows, so one number for each column is left;
# `axis=1` runs along a row, so one number for each row is left. To remember: the axis that you name
# is the one that disappears.

# %%
print("mean of each test:  ", tx.mean(marks, axis=0), "axis 0, of length 3, is gone")
print("mean of each pupil: ", tx.mean(marks, axis=1), "axis 1, of length 2, is gone")

# %% [markdown]
# ## Broadcasting
# Two shapes meet from the right. Where one has length 1, or no axis at all, it is repeated as often
# as the other needs; no memory is copied. Here (3, 2) meets (2,): each row gets the same two
# numbers taken off.

# %%
centred = marks - tx.mean(marks, axis=0)
print("each test's mean taken off")
print(centred)
print("so each column adds up to", tx.sum(centred, axis=0))

# %% [markdown]
# A new axis of length 1 is `None` in the brackets. (3, 1) meets (4,) and both grow to (3, 4): a
# table of all pairs, without a loop.

# %%
hours, minutes = tx.asarray([1, 2, 3]), tx.asarray([0, 15, 30, 45])
print("shapes", hours[:, None].shape, "and", minutes.shape)
table = 60 * hours[:, None] + minutes
print(table)
print("row 2, column 1 is 3 h 15 min:", table[2, 1].item(), "minutes")

# %% [markdown]
# If lengths differ and neither is 1, that is a mistake, and tinyxp says which axis it is.

# %%
try:
    hours + minutes
except tx.errors.ShapeError as error:
    print("ShapeError:", error)

# %% [markdown]
# ## Why no loops?
# Not only because it is short. The loop over 1,000,000 numbers runs inside NumPy, in compiled code;
# and the tape of lesson 2 records one operation instead of a million.

# %%
n = 1_000_000
total = tx.sum(tx.square(tx.arange(n, dtype=tx.float64)))
print("sum of the first million squares:", int(total.item()))
print("the formula (n-1)n(2n-1)/6:      ", (n - 1) * n * (2 * n - 1) // 6)

# %% [markdown]
# The last digits may differ: a float64 keeps about 16 digits, and this number has 18.
#
# ## Exercise
# Write a file `my_tensors.py` with three functions, without loops:
#
# * `standardize(x)`: x (n, d); every column gets mean 0 and standard deviation 1.
# * `outer_table(a, b)`: a (n,), b (m,) -> the (n, m) table of all products a[i] * b[j].
# * `distances(a, b)`: points a (n, d), b (m, d) -> the (n, m) table of their distances,
#   sqrt(sum over d of (a[i] - b[j]) ** 2).
#
# All with tinyxp's functions from end to end (`tx.mean`, `tx.std`, `tx.sqrt` ...), so that lesson 2
# can differentiate them. Then ask: `tinyxp check lesson1 my_tensors.py`
