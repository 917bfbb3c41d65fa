# %% [markdown]
# # Lesson 7: the transformer
#
# Ashish Vaswani and seven others ("Attention is all you need", NeurIPS 30, 2017) built a network
# for text in which every position can read from all others; in a model that generates text, from
# all earlier ones. Attention itself is older (Bahdanau, Cho and Bengio 2014). The new idea was to
# do without recurrence and convolution.

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
print(f"{len(TEXT)} characters, {len(tokenizer)} different ones; the task: predict the next one")

# %% [markdown]
# ## Attention
# Every position computes a *query* (what do I look for?), a *key* (what do I contain?) and a
# *value* (what do I pass on?). The score q . k / sqrt(d) says how well a query fits a key. Softmax
# turns the scores into weights, and the output is the weighted mean of the values. Later positions
# get the weight 0: a model that sees the next character would not have to predict it.

# %%


def causal_attention(q, k, v):  # (batch, time, d) each
    time, d = q.shape[-2:]
    scores = q @ k.mT / math.sqrt(d)  # (batch, time, time)
    later = tx.triu(tx.ones((time, time)), k=1) == 1  # above the diagonal
    weights = F.softmax(tx.where(later, -math.inf, scores), dim=-1)
    return weights @ v, weights


q = k = v = tx.asarray([[[1.0, 0.0], [0.0, 1.0], [3.0, 0.0]]])
out, weights = causal_attention(q, k, v)
print("weights: row = position of the query, column = position of the key")
for row in weights[0].tolist():
    print("   ", "  ".join(f"{w:.2f}" for w in row))

# %% [markdown]
# The first position can only attend to itself. The query of the third has a large first number,
# which fits its own key best and the first key a little. All weights above the diagonal are 0.
#
# ## The model
# The model embeds each character and its position. Attention exchanges information between
# positions, and an MLP transforms each position by itself; both are added to their input (residual
# connections, He et al. 2016). A linear layer predicts the next character.

# %%
CONTEXT, WIDTH = 32, 48


class Transformer(nn.Module):
    def __init__(self, attention=True):
        super().__init__()
        self.symbol = nn.Embedding(len(tokenizer), WIDTH)
        self.position = nn.Embedding(CONTEXT, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.readout = nn.Linear(WIDTH, len(tokenizer))
        self.attention = attention

    def forward(self, ids):  # (batch, time) -> logits (batch, time, symbols)
        x = self.symbol(ids) + self.position(tx.arange(ids.shape[1]))
        if self.attention:
            h = self.norm1(x)
            x = x + causal_attention(self.q(h), self.k(h), self.v(h))[0]
        x = x + self.mlp(self.norm2(x))
        return self.readout(x)


def next_symbol_loss(logits, ids):
    predictions, targets = logits[:, :-1], ids[:, 1:]  # position t predicts symbol t + 1
    return F.cross_entropy(predictions.reshape(-1, len(tokenizer)), targets.reshape(-1))


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
# ## The best loss without context
# A model that knows only how often each character occurs reaches the loss H1 at best. A model that
# also knows the current character reaches H2 (Claude Shannon, "A mathematical theory of
# communication", 1948). We can compute both by counting.


# %%
def entropy(pairs):
    """The mean of -log p(next | given), where p is counted in the same pairs."""
    total = sum(
        math.log(sum(g == given for g, _ in pairs) / pairs.count((given, after)))
        for given, after in pairs
    )
    return total / len(pairs)


h1 = entropy([("", c) for c in TEXT])
h2 = entropy(list(pairwise(TEXT)))
print(f"equal probabilities: {math.log(len(tokenizer)):.2f}   H1: {h1:.2f}   H2: {h2:.2f}")

# %%
tx.manual_seed(0)
model, control = Transformer(), Transformer(attention=False)
print("the transformer")
with_attention = fit(model)
print("the control: the same without attention, which sees one character")
without = fit(control)
print(f"with attention {with_attention:.2f}, without {without:.2f}, and H2 is {h2:.2f}")

# %% [markdown]
# Without attention the loss ends near H2, the best value for a model that sees one character (a
# single batch of 16 windows may give a little more or less). With attention it is far lower,
# because the model uses earlier characters.
#
# ## Generating text

# %%
line = "Shall I"
while len(line) < 120:
    # the last position of a training window has no next symbol, so it is not trained
    context = tx.asarray([tokenizer.encode(line[-(CONTEXT - 1) :])])
    line += tokenizer.decode([tx.argmax(model(context)[0, -1]).item()])
print(line)

# %% [markdown]
# The model reproduces pieces of the sonnet, because it has memorized such a short text. The loss on
# the training text says nothing about other texts. `tinyxp train transformer` trains on a long text
# and measures the loss on a part of it that is not used for training.
#
# ## Exercise
# Write `my_attention.py`:
#
# * `causal_attention(q, k, v)`: (..., time, d) each -> (..., time, d), softmax(q k^T / sqrt(d)) v,
#   where no position depends on a later one. Gradients must flow to q, k and v.
# * `next_symbol_loss(logits, ids)`: logits (n, time, symbols), ids (n, time) -> the mean
#   cross-entropy of predicting ids[:, t + 1] from logits[:, t].
#
# Then run `tinyxp check lesson7 my_attention.py`
