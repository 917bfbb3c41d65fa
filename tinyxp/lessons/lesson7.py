"""Lesson 7, the transformer: attention that does not see the future, and its loss."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.lessons.comparing import gradients, near, numbers
from tinyxp.lessons.points import Lesson, NotYet

LESSON = Lesson({"causal_attention": "q, k, v", "next_symbol_loss": "logits, ids"})
T, D = 5, 4


def softmax(s: Any, axis: int = -1) -> Any:
    e = np.exp(s - s.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def scores(q: Any, k: Any) -> Any:
    return q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])


def hidden(s: Any, later: int = 1) -> Any:
    """Scores with minus infinity, nearly, from the ``later``-th place after a position on."""
    return np.where(np.triu(np.ones(s.shape[-2:], dtype=bool), later), -1e30, s)


def attention(q: Any, k: Any, v: Any) -> Any:
    return softmax(hidden(scores(q, k))) @ v


def example(seed: int, *batch: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    q, k, v = (rng.normal(size=(*batch, T, D)) for _ in range(3))
    return 2 * q, k, v


def given(student: Any, q: Any, k: Any, v: Any) -> Any:
    return numbers(student.causal_attention(*(tx.asarray(x) for x in (q, k, v))))


@LESSON.point("causal_attention", "mixes values by weights that add up to 1")
def _(student: Any) -> None:
    q, k, v = example(2, 3)
    found = given(student, q, k, np.ones_like(v))
    near(
        found,
        np.ones_like(v),
        "softmax along the last axis, the keys, after the mask",
        {
            "masked after the softmax: the rest no longer adds up to 1. Mask the scores": (
                np.tril(softmax(scores(q, k))) @ np.ones_like(v)
            ),
            "the values are v, not k": attention(q, k, k),
            "softmax over the wrong axis: each query's weights lie along the last one": (
                softmax(hidden(scores(q, k)), axis=-2) @ np.ones_like(v)
            ),
        },
    )


@LESSON.point("causal_attention", "does not see the future")
def _(student: Any) -> None:
    q, k, v = example(1, 2)
    first = given(student, q, k, v)
    for t in range(1, T):
        k2, v2 = k.copy(), v.copy()
        k2[:, t:] += 1
        v2[:, t:] -= 2
        changed = np.abs(given(student, q, k2, v2) - first)[:, :t]
        if not changed.max() < 1e-6:
            at = int(np.argmax(changed.max(axis=(0, 2))))
            raise NotYet(
                f"an output at position {at} that knows positions 0 to {at}",
                f"it changed when position {t} was changed: the mask leaks the future",
                "scores above the diagonal (tx.triu with k=1) become -inf before the softmax, "
                "whose axis is the last: the keys",
            )


@LESSON.point("causal_attention", "is softmax(q k^T / sqrt(d)) v")
def _(student: Any) -> None:
    for q, k, v in (example(3), example(4, 2), example(5, 2, 3)):
        s = scores(q, k)
        near(
            given(student, q, k, v),
            attention(q, k, v),
            "scores q @ k.mT / sqrt(d), masked, softmax along the last axis, times v",
            {
                "the scores are not divided by sqrt(d)": softmax(hidden(s * np.sqrt(D))) @ v,
                "divide by sqrt(d), not by d": softmax(hidden(s / np.sqrt(D))) @ v,
                "a position may see itself: the mask begins one above the diagonal": softmax(
                    hidden(s, 0)
                )
                @ v,
                "q and k are exchanged": attention(k, q, v),
                "there is no softmax over scores: all weights are equal": softmax(hidden(0 * s))
                @ v,
            },
        )


@LESSON.point("causal_attention", "gradients flow to q, k and v")
def _(student: Any) -> None:
    q, k, v = example(6, 2)
    gradients(student.causal_attention, attention, {"q": q, "k": k, "v": v})


def surprise(logits: Any, targets: Any) -> Any:
    p = softmax(logits)
    return -np.log(np.take_along_axis(p, targets[..., None], axis=-1))


@LESSON.point("next_symbol_loss", "is the mean surprise at each next symbol")
def _(student: Any) -> None:
    for seed, n, t, symbols in ((7, 2, 6, 5), (8, 3, 4, 9)):
        rng = np.random.default_rng(seed)
        logits, ids = rng.normal(size=(n, t, symbols)), rng.integers(0, symbols, (n, t))
        shifted = surprise(logits[:, :-1], ids[:, 1:])
        near(
            student.next_symbol_loss(tx.asarray(logits), tx.asarray(ids)),
            shifted.mean(),
            "logits[:, t] guess ids[:, t + 1]: F.cross_entropy over all but the last position",
            {
                "each position is asked for its own symbol, which it sees: shift the ids by "
                "one": surprise(logits, ids).mean(),
                "shifted the wrong way: the target of position t is ids[:, t + 1]": surprise(
                    logits[:, 1:], ids[:, :-1]
                ).mean(),
                "that is the sum: take the mean over sequences and positions": shifted.sum(),
                "the last position wraps round to the first symbol: leave it out": surprise(
                    logits, np.roll(ids, -1, axis=1)
                ).mean(),
            },
        )


@LESSON.point("next_symbol_loss", "the tape sees it")
def _(student: Any) -> None:
    ids = np.array([[0, 2, 1], [1, 1, 0]])
    gradients(
        lambda logits: student.next_symbol_loss(logits, tx.asarray(ids)),
        lambda logits: surprise(logits[:, :-1], ids[:, 1:]).mean(),
        {"logits": np.random.default_rng(9).normal(size=(2, 3, 3))},
    )
