"""Multi-head attention: several attentions in parallel, each with its own projections."""

import functools
import math
import operator

from tinyxp import backends
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.functional.attention import attend, attend_to_itself, attention_weights, causal_mask
from tinyxp.nn.functional.dropouts import dropout
from tinyxp.nn.functional.linear_layers import linear
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import astype, zeros_like
from tinyxp.ops.linear import matmul
from tinyxp.ops.padding import pad
from tinyxp.ops.parts import _unstack
from tinyxp.ops.shaping import broadcast_to, concat, expand_dims, permute_dims, reshape, squeeze

__all__ = ["multi_head_attention_forward"]


def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights=True,
    is_causal=False,
    *,
    generator=None,
):
    """concat(head₁ … headₕ) W_out, headᵢ = attention(Q Wᵢ, K Wᵢ, V Wᵢ): (output, weights or None).

    Shapes: query (L, N, E), key (S, N, K), value (S, N, V) -> output (L, N, E), weights (N, L, S),
    by head (N, H, L, S) unless ``average_attn_weights``; all without N for one sequence.
    Projections: in_proj_weight (3 E, E) for Q, K and V, or with ``use_separate_proj_weight``
    q_proj_weight (E, E), k_proj_weight (E, K), v_proj_weight (E, V); in_proj_bias (3 E),
    out_proj_weight (E, E), out_proj_bias (E). bias_k and bias_v (E) are an additional key and
    value, ``add_zero_attn`` adds one of zeros; no mask excludes them. static_k and static_v
    (N · H, S, E / H) replace the projected ones.

    In key_padding_mask (N, S) and attn_mask (L, S) or (N · H, L, S), True excludes a key (the
    opposite of ``scaled_dot_product_attention``), and floating masks are added. ``is_causal``
    excludes later keys, with or without a mask. A query without any key gets zeros. Raises
    ShapeError, DTypeError, ArgumentError. Source: Vaswani et al. 2017, sec. 3.2.2.

    >>> x, eye = tx.ones((3, 2)), tx.eye(2)  # (time, embed_dim)
    >>> y, weights = tx.nn.functional.multi_head_attention_forward(
    ...     x, x, x, 2, 1, tx.concat([eye, eye, eye]), None, None, None, False, 0.0, eye, None
    ... )
    >>> y.shape, weights.shape
    ((3, 2), (3, 3))
    """
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    return attend_by_heads(
        query,
        key,
        value,
        num_heads,
        separate if use_separate_proj_weight else in_proj_weight,
        in_proj_bias,
        lambda y: linear(y, out_proj_weight, out_proj_bias),
        embed_dim=embed_dim_to_check,
        bias_k=bias_k,
        bias_v=bias_v,
        add_zero_attn=add_zero_attn,
        static_k=static_k,
        static_v=static_v,
        dropout_p=dropout_p if training else 0.0,
        key_padding_mask=key_padding_mask,
        attn_mask=attn_mask,
        is_causal=is_causal,
        need_weights=need_weights,
        average_attn_weights=average_attn_weights,
        generator=generator,
    )


def attend_by_heads(
    query,
    key,
    value,
    num_heads,
    weight,
    bias,
    output,
    *,
    embed_dim,
    bias_k=None,
    bias_v=None,
    add_zero_attn=False,
    static_k=None,
    static_v=None,
    dropout_p=0.0,
    key_padding_mask=None,
    attn_mask=None,
    is_causal=False,
    need_weights=True,
    average_attn_weights=True,
    batch_first=False,
    generator=None,
):
    """Multi-head attention, for the function and the module; ``output`` is the last projection,
    ``weight`` one weight for query, key and value, or a tuple of three."""
    expect_tensors("multi_head_attention_forward", query, key, value)
    weights = _check_weights(weight, embed_dim, num_heads)
    _check_inputs(query, key, value, weights, embed_dim)
    batched = query.ndim == 3

    def batch_of(x):
        if not batched:
            return expand_dims(x, axis=0)
        return x if batch_first else permute_dims(x, (1, 0, 2))

    same = query is key and key is value, key is value
    inputs = [batch_of(query)] * 3 if same[0] else [batch_of(x) for x in (query, key, value)]
    if not batched and key_padding_mask is not None:
        key_padding_mask = expand_dims(key_padding_mask, axis=0)
    masks = key_padding_mask, attn_mask, is_causal
    found = None
    bare = bias_k is bias_v is static_k is static_v is None and not add_zero_attn
    if same[0] and len(weights) == 1 and bare and not need_weights:
        qkv = _project(inputs[0], *weights, bias, 3, num_heads)
        mask, is_causal = _mask(*masks, qkv, num_heads, *[qkv.shape[1]] * 2)
        y = attend_to_itself(qkv, mask, dropout_p, is_causal, generator)
    else:
        q, k, v = _heads(inputs, weights, bias, num_heads, same)  # (N, H, L or S, D)
        k, v = _static(k, "static_k", static_k), _static(v, "static_v", static_v)
        _check_keys(q, k, v, bias_k, bias_v, static_k, static_v)
        more = int(bias_k is not None) + int(add_zero_attn)
        mask, is_causal = _mask(*masks, q, num_heads, q.shape[2], k.shape[2], more)
        if more:
            k, v = _more_keys(k, bias_k, add_zero_attn), _more_keys(v, bias_v, add_zero_attn)
        if need_weights:
            scale = 1 / math.sqrt(q.shape[-1])
            found = attention_weights(q, k, mask, is_causal=is_causal, scale=scale)
            found = dropout(found, dropout_p, generator=generator)
            y = matmul(found, v)
            found = found.mean(axis=1) if average_attn_weights else found
            found = found if batched else squeeze(found, axis=0)
        else:
            y = attend(q, k, v, mask, dropout_p, is_causal, generator=generator)
        y = permute_dims(y, (0, 2, 1, 3))  # (N, L, H, D)
    y = output(reshape(y, (*y.shape[:2], embed_dim)))
    if not batched:
        return squeeze(y, axis=0), found
    return (y if batch_first else permute_dims(y, (1, 0, 2))), found


# -- checks -----------------------------------------------------------------------------------


def _check_weights(weight, embed_dim, num_heads):
    """Check the weights of the projections; returns one for all three, or three."""
    if not isinstance(num_heads, int):
        raise DTypeError(f"attention expects num_heads as an integer, got {num_heads!r}")
    if num_heads < 1 or embed_dim < 1 or embed_dim % num_heads:
        raise ArgumentError(f"embed_dim {embed_dim} is not a multiple of num_heads {num_heads}")
    weights = weight if isinstance(weight, tuple) else (weight,)
    rows = embed_dim * (3 if len(weights) == 1 else 1)
    for each in weights:
        if each is None or each.ndim != 2 or each.shape[0] != rows:
            raise ShapeError(
                "attention expects in_proj_weight (3 E, E), or with use_separate_proj_weight "
                f"q_proj_weight (E, E), k_proj_weight (E, K), v_proj_weight (E, V) for "
                f"E = embed_dim = {embed_dim}, got {', '.join(map(_shape, weights))}"
            )
    return weights


def _check_inputs(query, key, value, weights, embed_dim):
    widths = [each.shape[1] for each in weights] * (4 - len(weights))
    widths = [embed_dim, *widths[-2:]]
    for name, x, width in zip(("query", "key", "value"), (query, key, value), widths, strict=True):
        if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != width:
            raise ShapeError(
                f"attention with embed_dim={embed_dim} expects query, key and value all of three "
                f"axes or, without a batch, of two, and the last {widths}, got {name} {x.shape}"
            )
    if key.shape[:-1] != value.shape[:-1]:
        raise ShapeError(
            f"attention expects as many values as keys, got {value.shape} and {key.shape}"
        )


def _static(projected, name, static):
    """A static key or value (N · H, S, D), if any, instead of a projected one (N, H, ·, D)."""
    if static is None:
        return projected
    n, heads, _, width = projected.shape
    if static.ndim != 3 or (static.shape[0], static.shape[2]) != (n * heads, width):
        raise ShapeError(
            f"{name} must be (N * H, S, E / H) = ({n * heads}, S, {width}), got {static.shape}"
        )
    return reshape(static, (n, heads, static.shape[1], width))


def _check_keys(q, k, v, bias_k, bias_v, static_k, static_v):
    if k.shape[0] != q.shape[0] or k.shape[2] != v.shape[2]:
        raise ShapeError(
            "attention expects a batch of keys for each of queries, and as many values as keys, "
            f"got by head (N, H, L or S, D) {q.shape}, {k.shape} and {v.shape}"
        )
    more = bias_k, bias_v
    if (bias_k is None) != (bias_v is None):
        raise ArgumentError(
            f"pass both or none of bias_k and bias_v, got {', '.join(map(_shape, more))}"
        )
    if bias_k is not None and not static_k is static_v is None:
        raise ArgumentError("bias_k and bias_v are for projected keys, got static_k or static_v")


def _shape(x):
    return "None" if x is None else str(x.shape)


# -- heads ------------------------------------------------------------------------------------


def _heads(inputs, weights, bias, num_heads, same):
    """The projections of query, key and value, split by head: (N, T, ·) -> (N, H, T, D)."""
    if len(weights) == 3:
        biases = (None,) * 3 if bias is None else _unstack(reshape(bias, (3, -1)))
        jobs = zip(inputs, weights, biases, (1, 1, 1), strict=True)
    else:  # the same input is multiplied once
        (weight,) = weights
        counts = (3,) if same[0] else (1, 2) if same[1] else (1, 1, 1)
        jobs = _parts(inputs, weight, bias, counts)
    return [head for job in jobs for head in _split(*job, num_heads)]


def _parts(inputs, weight, bias, counts):
    """Iterate over (input, rows of the weight, rows of the bias, number of projections)."""
    width, first = weight.shape[0] // 3, 0
    for count in counts:
        rows = slice(first * width, (first + count) * width)
        part = weight if count == 3 else weight[rows]
        yield inputs[first], part, bias if bias is None or count == 3 else bias[rows], count
        first += count


def _project(x, weight, bias, count, num_heads):
    """Several projections of x in one product: (N, T, ·) -> (N, T, count, H, D)."""
    y = linear(x, weight, bias)
    return reshape(y, (*y.shape[:2], count, num_heads, weight.shape[0] // (count * num_heads)))


def _split(x, weight, bias, count, num_heads):
    parts = _unstack(_project(x, weight, bias, count, num_heads), axis=2)
    return [permute_dims(part, (0, 2, 1, 3)) for part in parts]


def _more_keys(x, bias, add_zero_attn):
    """Append the learned one and zeros to keys or values (N, H, S, D)."""
    n, heads, _, width = x.shape
    if bias is not None:
        learned = broadcast_to(reshape(bias, (heads, 1, width)), (n, heads, 1, width))
        x = concat([x, learned], axis=2)
    return pad(x, ((0, 0), (0, 0), (0, 1), (0, 0))) if add_zero_attn else x


# -- masks ------------------------------------------------------------------------------------


def _mask(padding, attn_mask, is_causal, q, heads, length, keys, more=0):
    """Combine all masks for ``attend``, (N, H, L, S + more); returns it and is_causal."""
    n, found = q.shape[0], []
    if padding is not None:
        _expect("key_padding_mask", padding, {(n, keys): "(N, S)"})
        found.append(reshape(padding, (n, 1, 1, keys)))
    if attn_mask is not None:
        each = (n * heads, length, keys)
        _expect("attn_mask", attn_mask, {(length, keys): "(L, S)", each: "(N * H, L, S)"})
        by_head = (n, heads, length, keys)
        found.append(reshape(attn_mask, by_head) if attn_mask.ndim == 3 else attn_mask)
    if is_causal and more:  # the keys added at the end are not later ones
        with backends.using(q.backend):
            found.append(~causal_mask(length, keys, device=q.device))
        is_causal = False
    if not found:
        return None, is_causal
    if all(mask.dtype.kind == "bool" for mask in found):
        mask, seen = ~functools.reduce(operator.or_, found), True
    else:
        mask, seen = functools.reduce(operator.add, (_additive(mask, q) for mask in found)), 0.0
    if more:
        margins = (*[(0, 0)] * (mask.ndim - 1), (0, more))
        mask = pad(mask, margins, constant_values=seen)
    return mask, is_causal


def _expect(name, mask, shapes):
    expect_tensors("multi_head_attention_forward", mask)
    if mask.shape not in shapes:
        expected = " or ".join(f"{text} = {shape}" for shape, text in shapes.items())
        raise ShapeError(f"{name} must be {expected}, got {mask.shape}")
    if mask.dtype.kind not in ("bool", "real floating"):
        raise DTypeError(
            f"{name} is boolean (True: not allowed) or floating (added), got {mask.dtype!r}; "
            f"for 0 and 1: {name} == 1"
        )


def _additive(mask, like):
    """Convert a mask to one that is added to the scores: -inf for True."""
    if mask.dtype.kind == "bool":
        return where(mask, -math.inf, zeros_like(mask, dtype=like.dtype))
    return astype(mask, like.dtype, copy=False)
