import math

import tinyxp as tx
from tinyxp.nn import functional as F


def causal_attention(q, k, v):
    time, d = q.shape[-2:]
    scores = q @ k.mT / math.sqrt(d)
    later = tx.triu(tx.ones((time, time)), k=1) == 1
    scores = tx.where(later, -math.inf, scores)
    weights = F.softmax(scores, dim=-1)
    return weights @ v


def next_symbol_loss(logits, ids):
    guesses, targets = logits[:, :-1], ids[:, 1:]
    symbols = logits.shape[-1]
    return F.cross_entropy(guesses.reshape(-1, symbols), targets.reshape(-1))
