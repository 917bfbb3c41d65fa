# %% [markdown]
# # Lesson 7: the transformer
#
# Ashish Vaswani and seven others ("Attention is all you need", NeurIPS 30, 2017) built a network of
# text in which every position looks at every earlier one and takes what it needs. What they call
# attention is older (Bahdanau, Cho and Bengio 2014); that nothing else is needed was new.

# %%
import math
import os
from itertools import pairwise

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: more threads only wait

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F
from tinyxp.random import Generator

TEXT = """Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade,
Nor lose possession of that fair thou ow'st;
Nor shall death brag thou wander'st in his shade,
When in eternal lines to time thou grow'st:
So long as men can breathe or eyes can see,
So long lives this, and this gives life to thee.
"""  # Shakespeare, Sonnet 18, 1609

tokenizer = tx.data.CharTokenizer.train(TEXT)
ids = tx.asarray(tokenizer.encode(TEXT))
print(f"{len(TEXT)} characters, {len(tokenizer)} different ones; the task: guess the next one")

# %% [markdown]
# ## Attention
# Every position sends out a *query* (what do I look for?), a *key* (what am I?) and a *value* (what
# do I tell?). How well query and key fit, q . k / sqrt(d), becomes by softmax a weight; the output
# is the weighted mean of the values. Positions still to come get the weight 0: a model that sees
# the next character need not guess it.

# %%


def causal_attention(q, k, v):  # (batch, time, d) each
    time, d = q.shape[-2:]
    scores = q @ k.mT / math.sqrt(d)  # (batch, time, time)
    later = tx.triu(tx.ones((time, time)), k=1) == 1  # above the diagonal
    weights = F.softmax(tx.where(later, -math.inf, scores), dim=-1)
    return weights @ v, weights


q = k = v = tx.asarray([[[1.0, 0.0], [0.0, 1.0], [3.0, 0.0]]])
out, weights = causal_attention(q, k, v)
print("weights: row = who looks, column = at whom")
for row in weights[0].tolist():
    print("   ", "  ".join(f"{w:.2f}" for w in row))

# %% [markdown]
# The first position can only look at itself. The third looks for what has a large first number,
# finds it in itself and some of it in the first. Above the diagonal all is 0.
#
# ## The model
# Embed each character and its position; let positions talk (attention); let each think by itself
# (an MLP); add both to what was there (He et al. 2016, residuals); guess.

# %%
CONTEXT, WIDTH = 32, 48


class Transformer(nn.Module):
    def __init__(self, attends=True):
        super().__init__()
        self.symbol = nn.Embedding(len(tokenizer), WIDTH)
        self.position = nn.Embedding(CONTEXT, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        self.think = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.guess = nn.Linear(WIDTH, len(tokenizer))
        self.attends = attends

    def forward(self, ids):  # (batch, time) -> logits (batch, time, symbols)
        x = self.symbol(ids) + self.position(tx.arange(ids.shape[1]))
        if self.attends:
            h = self.norm1(x)
            x = x + causal_attention(self.q(h), self.k(h), self.v(h))[0]
        x = x + self.think(self.norm2(x))
        return self.guess(x)


def next_symbol_loss(logits, ids):
    guesses, targets = logits[:, :-1], ids[:, 1:]  # position t guesses symbol t + 1
    return F.cross_entropy(guesses.reshape(-1, len(tokenizer)), targets.reshape(-1))


def fit(model, steps=700):
    optimizer = tx.optim.AdamW(model.parameters(), lr=3e-3)
    draw = Generator(0)
    for step in range(1, steps + 1):
        starts = draw.integers(0, len(ids) - CONTEXT + 1, (16, 1))
        windows = ids[tx.asarray(starts) + tx.arange(CONTEXT)]
        loss = next_symbol_loss(model(windows), windows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (1, 100, steps):
            print(f"  step {step:3d}: loss {loss.item():.2f}")
    return loss.item()


# %% [markdown]
# ## What a guesser without context can reach
# Who knows only how often each character comes has, at best, a loss of H1; who also knows the
# current character, H2 (Claude Shannon, "A mathematical theory of communication", 1948). They
# follow from counting.


# %%
def surprise(pairs):
    """The mean of -log p(next | given), p counted over these very pairs."""
    total = sum(
        math.log(sum(g == given for g, _ in pairs) / pairs.count((given, after)))
        for given, after in pairs
    )
    return total / len(pairs)


h1 = surprise([("", c) for c in TEXT])
h2 = surprise(list(pairwise(TEXT)))
print(f"an even guess: {math.log(len(tokenizer)):.2f}   H1: {h1:.2f}   H2: {h2:.2f}")

# %%
tx.manual_seed(0)
model, blind = Transformer(), Transformer(attends=False)
print("the transformer")
with_attention = fit(model)
print("the control: the same without attention; it sees one character")
without = fit(blind)
print(f"with attention {with_attention:.2f}, without {without:.2f}, and H2 is {h2:.2f}")

# %% [markdown]
# Without attention it ends near H2: the best that one character allows (a single batch of 16
# windows may lie a little below or above). With attention it is far below: it looks back.
#
# ## It writes

# %%
line = "Shall I"
while len(line) < 120:
    # the last place of a window never had a next symbol to learn from
    seen = tx.asarray([tokenizer.encode(line[-(CONTEXT - 1) :])])
    line += tokenizer.decode([tx.argmax(model(seen)[0, -1]).item()])
print(line)

# %% [markdown]
# Pieces of the sonnet, and no wonder: so short a text is learned by heart. A loss on a text that
# was seen says nothing about other texts. `tinyxp train transformer` trains on a long text and
# measures on a part of it that is kept back.
#
# ## Exercise
# Write `my_attention.py`:
#
# * `causal_attention(q, k, v)`: (..., time, d) each -> (..., time, d), softmax(q k^T / sqrt(d)) v,
#   where no position sees a later one. Gradients must flow to all three.
# * `next_symbol_loss(logits, ids)`: logits (n, time, symbols), ids (n, time) -> the mean
#   cross-entropy of guessing ids[:, t + 1] from logits[:, t].
#
# Then ask: `tinyxp check lesson7 my_attention.py`
