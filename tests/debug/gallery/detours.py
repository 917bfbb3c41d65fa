"""Gradients lost on a detour through raw arrays and plain numbers."""

import math

import numpy as np

import tinyxp as tx
from tests.debug.gallery import broken, points, squares
from tinyxp import nn

DETOUR = "a detour through raw arrays"


class Two(nn.Module):
    """A layer before what breaks, and one behind it."""

    def __init__(self, through):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.through = through

    def forward(self, x):
        return self.second(self.through(self.first(x)))


def two(through, shape=(6, 4)):
    model, x = Two(through), points(*shape)
    return model, lambda: squares(model(x))


FIRST = "first.weight first.bias"


@broken("missing", FIRST, DETOUR)
def softmax_in_numpy():
    def softmax(x):
        a = x.array
        e = np.exp(a - a.max(axis=-1, keepdims=True))
        return tx.tensor(e / e.sum(axis=-1, keepdims=True))  # CUT

    return two(softmax)


@broken("incomplete", FIRST, "a part of the gradient", DETOUR)
def layer_norm_with_a_raw_std():
    def layer_norm(x):
        std = np.sqrt(x.array.var(axis=-1, keepdims=True) + 1e-5)
        return (x - x.mean(axis=-1, keepdims=True)) / tx.tensor(std)  # CUT

    return two(layer_norm)


class Attention(nn.Module):
    def __init__(self, attend):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(4, 4) for _ in range(4))
        self.attend = attend

    def forward(self, x):
        return self.out(self.attend(self.q(x), self.k(x), self.v(x)))


QKV = "q.weight q.bias k.weight k.bias v.weight v.bias"


@broken("missing", QKV, DETOUR)
def attention_sample_by_sample():
    def attend(q, k, v):
        out = []
        for b in range(len(q)):
            scores = np.dot(q.array[b], k.array[b].T) / 2.0
            weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
            out.append(tx.tensor(weights @ v.array[b]))  # CUT
        return tx.stack(out)

    model, x = Attention(attend), points(3, 5, 4)
    return model, lambda: squares(model(x))


@broken("missing", QKV, ".array", "as a new tensor")
def attention_into_a_buffer():
    def attend(q, k, v):
        out = np.zeros(q.shape, dtype=np.float32)
        for b in range(len(q)):
            out[b] = (q.array[b] @ k.array[b].T) @ v.array[b]
        mask = tx.asarray(np.ones(q.shape, dtype=np.float32))
        return mask * tx.tensor(out)  # CUT

    model, x = Attention(attend), points(3, 5, 4)
    return model, lambda: squares(model(x))


@broken("missing", FIRST, DETOUR)
def reshape_of_the_data():
    return two(lambda h: tx.Tensor(h.array.reshape(-1, 4)), (2, 3, 4))  # CUT


@broken("missing", "table", DETOUR)
def embedding_by_raw_lookup():
    class Embedding(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Parameter(points(7, 4)), nn.Linear(4, 2)

        def forward(self, ids):
            rows = self.table.array[ids.array]
            return self.head(tx.tensor(rows))  # CUT

    model, ids = Embedding(), tx.asarray([[1, 2], [3, 6]])
    return model, lambda: squares(model(ids))


@broken("missing", FIRST, DETOUR)
def positions_added_in_numpy():
    def encode(x):
        waves = np.sin(np.arange(x.shape[1]))[:, None].astype(np.float32)
        return tx.tensor(x.array + waves)  # CUT

    return two(encode, (2, 5, 4))


@broken("missing", FIRST, DETOUR)
def mean_of_the_data():
    return two(lambda h: tx.asarray(np.mean(h.array, axis=1)), (2, 5, 4))  # CUT


@broken("missing", FIRST, DETOUR)
def max_of_the_data():
    return two(lambda h: tx.asarray(h.array.max(axis=1)), (2, 5, 4))  # CUT


@broken("missing", FIRST, DETOUR)
def a_long_way_through_numpy():
    def spread(a):
        halves = np.split(a, 2, axis=-1)
        return np.concatenate([halves[1], halves[0]], axis=-1)

    def squash(a):
        rows = [np.tanh(row) for row in a]
        return np.stack(rows) * np.float32(0.5)

    def join(a):
        b = a.copy()
        b[0] += 1.0
        return np.where(b > 0, b, 0.1 * b).astype(np.float32)

    def through(x):
        a = spread(x.array)
        a = squash(a)
        a = join(a)
        return tx.tensor(a)  # CUT

    return two(through)


@broken("missing", FIRST, "tolist()", "as a new tensor")
def lists_of_numbers():
    def through(x):
        rows = x.tolist()
        rows = [[math.tanh(value) for value in row] for row in rows]
        return tx.tensor(rows)  # CUT

    return two(through)


@broken("missing", FIRST, "float()", "as a new tensor")
def numbers_one_by_one():
    def through(x):
        rows = [[float(value) ** 2 for value in row] for row in x]
        return tx.tensor(rows)  # CUT

    return two(through, (3, 4))


@broken("missing", FIRST, "detach()")
def numpy_of_a_detached_tensor():
    def through(x):
        a = x.detach().numpy()  # CUT
        return tx.tensor(np.exp(a))

    return two(through)


@broken("missing", FIRST, " by .array, ")
def a_line_after_the_array():
    def through(x):
        a = np.exp(x.array)
        return tx.tensor(a)  # CUT

    return two(through)


@broken("missing", FIRST, " by .data; ", "remove .data at ")
def tensor_of_the_data():
    return two(lambda h: tx.tensor(h.data))  # CUT


@broken("missing", FIRST, " by .data; ")
def numpy_of_the_data():
    return two(lambda h: tx.tensor(np.tanh(h.data.numpy())))  # CUT


@broken("missing", FIRST, " by .data; ")
def functions_of_the_data():
    def through(x):
        shifted = x.data - x.data.mean()  # CUT
        return tx.exp(shifted)

    return two(through)


@broken("incomplete", FIRST, "a part of the gradient is cut at ", " by .data; ")
def a_norm_of_the_data():
    return two(lambda h: h / tx.linalg.vector_norm(h.data, axis=-1, keepdims=True))  # CUT


@broken("missing", FIRST, "np.asarray()", "as a new tensor")
def asarray_of_a_detached_tensor():
    def through(x):
        a = np.asarray(x.detach())
        return tx.asarray(np.tanh(a))  # CUT

    return two(through)


@broken("missing", FIRST, "DLPack", "as a new tensor")
def around_by_dlpack():
    def through(x):
        a = np.from_dlpack(x.detach())
        return tx.from_dlpack(np.sqrt(np.abs(a)))  # CUT

    return two(through)


@broken("missing", FIRST, DETOUR)
def a_new_leaf_in_the_middle():
    return two(lambda h: tx.tensor(np.tanh(h.array), requires_grad=True))  # CUT


@broken("missing", FIRST, "item()", "as a plain number")
def a_number_as_a_factor():
    class Scaled(Two):
        def forward(self, x):
            scale = self.first(x).mean().item()  # CUT
            return self.second(x) * scale

    model, x = Scaled(None), points(6, 4)
    return model, lambda: squares(model(x))


@broken("missing", FIRST, "float()", "as a plain number")
def a_float_as_a_factor():
    class Scaled(Two):
        def forward(self, x):
            return self.second(x) * float(self.first(x).mean())  # CUT

    model, x = Scaled(None), points(6, 4)
    return model, lambda: squares(model(x))
