# %% [markdown]
# # Lesson 1: tensors
#
# A tensor is an array of numbers with axes. With one axis it is a list, with two a table, with
# three a stack of tables. The inputs, parameters and outputs of a neural network are tensors: 100
# images of 8 x 8 pixels have the shape (100, 8, 8).
#
# A little history: APL (Kenneth E. Iverson, "A Programming Language", 1962) computed with whole
# tables in one expression, without loops. NumPy (Harris et al., "Array programming with NumPy",
# Nature 585, 2020) brought this to Python. tinyxp follows the same rules, which the Python Array
# API standard defines.

# %%
import tinyxp as tx

marks = tx.asarray([[1.0, 30.0], [2.0, 50.0], [3.0, 10.0]])
print("marks")
print(marks)
print("shape", marks.shape, "- 3 rows (pupils), 2 columns (tests);", marks.dtype)

# %% [markdown]
# ## Axes
# A reduction, such as a sum or a mean, removes an axis. `axis=0` goes through the rows and leaves
# one number for each column; `axis=1` goes through the columns and leaves one number for each row.
# The axis that you name is the one that disappears.

# %%
print("mean of each test:  ", tx.mean(marks, axis=0), "axis 0, of length 3, is gone")
print("mean of each pupil: ", tx.mean(marks, axis=1), "axis 1, of length 2, is gone")

# %% [markdown]
# ## Broadcasting
# An operation on two tensors compares their shapes from the right. Where one tensor has length 1,
# or no axis at all, it is repeated to match the other, without copying memory. Here the shapes are
# (3, 2) and (2,): the same two numbers are subtracted from each row.

# %%
centred = marks - tx.mean(marks, axis=0)
print("marks minus the mean of each test")
print(centred)
print("so each column adds up to", tx.sum(centred, axis=0))

# %% [markdown]
# `None` inside the brackets adds an axis of length 1. Shapes (3, 1) and (4,) broadcast to (3, 4): a
# table of all pairs, without a loop.

# %%
hours, minutes = tx.asarray([1, 2, 3]), tx.asarray([0, 15, 30, 45])
print("shapes", hours[:, None].shape, "and", minutes.shape)
table = 60 * hours[:, None] + minutes
print(table)
print("row 2, column 1 is 3 h 15 min:", table[2, 1].item(), "minutes")

# %% [markdown]
# If two lengths differ and neither is 1, the shapes do not fit. The error names them.

# %%
try:
    hours + minutes
except tx.errors.ShapeError as error:
    print("ShapeError:", error)

# %% [markdown]
# ## Why no loops?
# The code is short, and there are two more reasons. The loop over 1,000,000 numbers runs inside
# NumPy, in compiled code. And the tape of lesson 2 records one operation instead of a million.

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
# Use only tinyxp's functions (`tx.mean`, `tx.std`, `tx.sqrt` ...), so that they can be
# differentiated as in lesson 2. Then run `tinyxp check lesson1 my_tensors.py`
