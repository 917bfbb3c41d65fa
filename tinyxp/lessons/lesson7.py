"""Lesson 7, the transformer: attention that does not see the future, and its loss."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.lessons.comparison import add_formula_points, compare, numbers
from tinyxp.lessons.lesson import Lesson, NotYet

LESSON = Lesson({"causal_attention": "q, k, v", "next_symbol_loss": "logits, ids"})
T, D = 5, 4


def softmax(s: Any, axis: int = -1) -> Any:
    e = np.exp(s - s.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def scores(q: Any, k: Any) -> Any:
    return q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])


def mask(s: Any, diagonal: int = 1) -> Any:
    """The scores, almost minus infinity from this diagonal upwards."""
    return np.where(np.triu(np.ones(s.shape[-2:], dtype=bool), diagonal), -1e30, s)


def attention(q: Any, k: Any, v: Any) -> Any:
    return softmax(mask(scores(q, k))) @ v


def example(seed: int, *batch: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    q, k, v = (rng.normal(size=(*batch, T, D)) for _ in range(3))
    return 2 * q, k, v


def ask(student: Any, q: Any, k: Any, v: Any) -> Any:
    return numbers(student.causal_attention(*(tx.asarray(x) for x in (q, k, v))))


@LESSON.point("causal_attention", "mixes values by weights that add up to 1")
def _(student: Any) -> None:
    q, k, v = example(2, 3)
    s, ones = scores(q, k), np.ones_like(v)
    mistakes = {
        "masked after the softmax, so that the rest no longer adds up to 1: mask the scores": (
            np.tril(softmax(s)) @ ones
        ),
        "the values are v, not k": attention(q, k, k),
        "softmax over the wrong axis: each query's weights lie along the last one": (
            softmax(mask(s), axis=-2) @ ones
        ),
    }
    hint = "softmax along the last axis, the keys, after the mask"
    compare(ask(student, q, k, ones), ones, hint, mistakes)


@LESSON.point("causal_attention", "does not see the future")
def _(student: Any) -> None:
    q, k, v = example(1, 2)
    first = ask(student, q, k, v)
    for t in range(1, T):
        k2, v2 = k.copy(), v.copy()
        k2[:, t:] += 1
        v2[:, t:] -= 2
        changes = np.abs(ask(student, q, k2, v2) - first)[:, :t]
        if not changes.max() < 1e-6:
            at = int(np.argmax(changes.max(axis=(0, 2))))
            raise NotYet(
                f"an output at position {at} that depends on positions 0 to {at}",
                f"it changed when position {t} was changed: the mask leaks the future",
                "scores above the diagonal (tx.triu with k=1) become -inf before the softmax, "
                "whose axis is the last: the keys",
            )


def attention_mistakes(q: Any, k: Any, v: Any) -> dict[str, Any]:
    s = scores(q, k)
    wrong_scores = {
        "the scores are not divided by sqrt(d)": mask(s * np.sqrt(D)),
        "divide by sqrt(d), not by d": mask(s / np.sqrt(D)),
        "a position may see itself: the mask starts one above the diagonal": mask(s, 0),
        "there is no softmax over scores: all weights are equal": mask(0 * s),
        "q and k are exchanged": mask(s.swapaxes(-1, -2)),
    }
    return {hint: softmax(wrong) @ v for hint, wrong in wrong_scores.items()}


add_formula_points(
    LESSON,
    "causal_attention",
    "is softmax(q k^T / sqrt(d)) v",
    attention,
    [example(3), example(4, 2), example(5, 2, 3)],
    "scores q @ k.mT / sqrt(d), masked, softmax along the last axis, times v",
    attention_mistakes,
)


def cross_entropy(logits: Any, targets: Any) -> Any:
    p = softmax(logits)
    return -np.log(np.take_along_axis(p, targets[..., None], axis=-1))


def next_symbol_loss(logits: Any, ids: Any) -> Any:
    return cross_entropy(logits[:, :-1], ids[:, 1:]).mean()


def next_symbol_mistakes(logits: Any, ids: Any) -> dict[str, Any]:
    own = cross_entropy(logits, ids).mean()
    backwards = cross_entropy(logits[:, 1:], ids[:, :-1]).mean()
    total = next_symbol_loss(logits, ids) * ids[:, 1:].size
    around = cross_entropy(logits, np.roll(ids, -1, axis=1)).mean()
    return {
        "each position is asked for its own symbol, which it sees: shift the ids by one": own,
        "shifted the wrong way: the target of position t is ids[:, t + 1]": backwards,
        "this is the sum: take the mean over sequences and positions": total,
        "the last position wraps round to the first symbol: leave it out": around,
    }


def guesses(seed: int, n: int, time: int, symbols: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, time, symbols)), rng.integers(0, symbols, (n, time))


add_formula_points(
    LESSON,
    "next_symbol_loss",
    "is the mean cross-entropy of each next symbol",
    next_symbol_loss,
    [guesses(7, 2, 6, 5), guesses(8, 3, 4, 9)],
    "logits[:, t] guess ids[:, t + 1]: F.cross_entropy over all but the last position",
    next_symbol_mistakes,
)
