"""Sequences of different lengths, padded and packed, against PyTorch."""

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn.pytorch import agree
from tests.nn.test_nn_recurrent import leaf
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.utils import rnn as OURS

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
THEIRS = torch.nn.utils.rnn


def alike(f):
    """``f(library of sequences, tensors)`` gives the same here and in PyTorch."""
    values = [leaf(i, n, 2) for i, n in enumerate((3, 5, 1))]
    agree(lambda *xs: f(OURS, list(xs)), lambda *ts: f(THEIRS, list(ts)), *values)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_sequence(batch_first, side, backend):
    alike(lambda rnn, xs: rnn.pad_sequence(xs, batch_first, -1.5, side))
    alike(lambda rnn, xs: rnn.pad_sequence(xs, batch_first=batch_first, padding_side=side))
    alike(lambda rnn, xs: rnn.pad_sequence([xs[0][:, 0], xs[1][:, 0]], batch_first))


@pytest.mark.parametrize("batch_first", [False, True])
def test_pack_and_pad_again(batch_first, backend):
    def run(rnn, xs, **options):
        padded = rnn.pad_sequence(xs, batch_first)
        packed = rnn.pack_padded_sequence(padded, [3, 5, 1], batch_first, enforce_sorted=False)
        return [packed, *rnn.pad_packed_sequence(packed, batch_first, **options)]

    alike(run)
    alike(lambda rnn, xs: run(rnn, xs, padding_value=-2.5, total_length=7))


def test_pack_sequences(backend):
    alike(lambda rnn, xs: rnn.pack_sequence(xs, enforce_sorted=False))
    alike(lambda rnn, xs: rnn.pack_sequence([xs[1], xs[0], xs[2]]))
    alike(lambda rnn, xs: rnn.unpack_sequence(rnn.pack_sequence(xs, enforce_sorted=False)))
    alike(lambda rnn, xs: rnn.pad_packed_sequence(rnn.pack_sequence([xs[1], xs[0][:, :1] * xs[0]])))


def test_unpad_sequence(backend):
    def run(rnn, xs, batch_first):
        lengths = torch.tensor([3, 5, 1]) if rnn is THEIRS else tx.asarray([3, 5, 1])
        return rnn.unpad_sequence(rnn.pad_sequence(xs, batch_first), lengths, batch_first)

    alike(lambda rnn, xs: run(rnn, xs, True))
    alike(lambda rnn, xs: run(rnn, xs, False))


def test_sequences_of_integers(backend):
    words = [[1, 2, 3], [4], [5, 6]]
    for dtype in ("int64", "int32"):
        mine = [tx.asarray(np.asarray(w, dtype=dtype)) for w in words]
        theirs = [torch.tensor(np.asarray(w, dtype=dtype)) for w in words]
        for ours, expected in (
            (OURS.pad_sequence(mine, True), THEIRS.pad_sequence(theirs, True)),
            (OURS.pack_sequence(mine, False).data, THEIRS.pack_sequence(theirs, False).data),
            (
                OURS.pad_packed_sequence(OURS.pack_sequence(mine, False))[0],
                THEIRS.pad_packed_sequence(THEIRS.pack_sequence(theirs, False))[0],
            ),
        ):
            assert ours.dtype.name == dtype
            assert ours.tolist() == expected.tolist()


def test_a_packed_sequence_moves(backend):
    packed = OURS.pack_sequence([tx.ones((2, 1)), tx.ones((3, 1))], enforce_sorted=False)
    moved = packed.to("numpy", dtype=tx.float64)
    assert {x.backend.name for x in moved} == {"numpy"}
    assert moved.data.dtype is tx.float64
    assert [x.tolist() for x in moved] == [x.tolist() for x in packed]
    assert moved.unsorted_indices.tolist() == [1, 0]
    assert OURS.invert_permutation(None) is None


# -- refusals ---------------------------------------------------------------------------------


def zeros(*shape):
    return tx.zeros(shape)


BAD = {
    "unsorted": (
        lambda: OURS.pack_padded_sequence(zeros(4, 2, 1), [1, 4]),
        ArgumentError,
        "decreasing order, got .* pass enforce_sorted=False",
    ),
    "too long": (
        lambda: OURS.pack_padded_sequence(zeros(4, 2, 1), [5, 4]),
        ArgumentError,
        "lengths from 1 to 4",
    ),
    "of no length": (
        lambda: OURS.pack_padded_sequence(zeros(4, 2, 1), [4, 0]),
        ArgumentError,
        "lengths from 1 to 4",
    ),
    "too few lengths": (
        lambda: OURS.pack_padded_sequence(zeros(4, 2, 1), [4]),
        ShapeError,
        "a length for each of 2 sequences",
    ),
    "lengths that are floats": (
        lambda: OURS.pack_padded_sequence(zeros(4, 2, 1), [4.0, 2.0]),
        DTypeError,
        "lengths must be integers",
    ),
    "total_length": (
        lambda: OURS.pad_packed_sequence(OURS.pack_sequence([zeros(4)]), total_length=3),
        ArgumentError,
        "total_length is 3, and the longest sequence 4",
    ),
    **{
        f"batch_sizes {sizes}": (
            lambda sizes=sizes: OURS.unpack_sequence(
                OURS.PackedSequence(zeros(7, 2), tx.asarray(sizes))
            ),
            ArgumentError,
            "7 rows expects batch_sizes that sum to 7 and never grow",
        )
        for sizes in ([3, 2, 1], [3, 2, 1, 2], [2, 3, 1, 1], [3, 2, -1, 3], [8, -1])
    },
    "not packed": (lambda: OURS.pad_packed_sequence(zeros(4)), DTypeError, "got Tensor"),
    "no sequences": (lambda: OURS.pad_sequence([]), ArgumentError, "one sequence or more"),
    "side": (
        lambda: OURS.pad_sequence([zeros(2)], padding_side="top"),
        ArgumentError,
        "'left' or 'right', got 'top'",
    ),
    "widths": (
        lambda: OURS.pad_sequence([zeros(2, 3), zeros(2, 4)]),
        ShapeError,
        r"differ in L only, got \(2, 3\) and \(2, 4\)",
    ),
    "numbers": (lambda: OURS.pad_sequence(3), DTypeError, "a list of Tensors, got int"),
    "unpadded": (lambda: OURS.unpad_sequence(zeros(4, 2), [1]), ShapeError, "each of 2 sequences"),
}


@each("what", BAD)
def test_refusals(what, backend):
    run, error, message = BAD[what]
    with pytest.raises(error, match=message):
        run()
