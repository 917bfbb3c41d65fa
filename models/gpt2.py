"""GPT-2 (Radford et al. 2019), which reads and writes Hugging Face's checkpoints.

The network is the transformer's decoder with normalisation first (see transformer.py). Parameters
have Hugging Face's names, and ``Conv1D`` stores a weight as (in, out) as there, so a
``model.safetensors`` loads in both directions. A cache of keys and values lets generation read each
symbol once.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.data import BPETokenizer
from tinyxp.errors import ArgumentError, DataError, ShapeError
from tinyxp.files.safetensors import make_folder, write_atomically
from tinyxp.nn import functional as F
from tinyxp.nn.generation import KVCache, generate
from tinyxp.random import Generator


@dataclass(frozen=True)
class Config:
    """The fields of Hugging Face's ``config.json`` in use; the defaults have 124M parameters."""

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None  # 4 n_embd if None
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner"):
            value = getattr(self, name)
            optional = name == "n_inner" and value is None
            if not optional and (not isinstance(value, int) or value < 1):
                raise ArgumentError(f"{name} expects an integer from 1 up, got {value!r}")
        if self.n_embd % self.n_head:
            raise ArgumentError(f"n_embd {self.n_embd} must be a multiple of n_head {self.n_head}")
        if self.activation_function not in list(ACTIVATIONS):
            raise ArgumentError(
                f"unknown activation_function {self.activation_function!r}; "
                f"choose one of {sorted(ACTIVATIONS)}"
            )


ACTIVATIONS: dict[str, Callable[[Tensor], Any]] = {
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
}
# the files of a tokenizer that BPETokenizer reads
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json",
             "special_tokens_map.json", "added_tokens.json")  # fmt: skip
# options of a config.json of which only one value is supported
FIXED = {
    "model_type": "gpt2",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


class Conv1D(nn.Module):
    """y = x W + b with W (in, out): a linear layer with a transposed weight."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(tx.zeros((inputs, outputs)))
        self.bias = nn.Parameter(tx.zeros(outputs))

    def forward(self, x: Tensor) -> Any:
        return F.linear(x, self.weight.mT, self.bias)


class Attention(nn.Module):
    """Causal self-attention with an optional cache of keys and values."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.dropout = config.n_head, config.attn_pdrop
        self.c_attn = Conv1D(config.n_embd, 3 * config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor, cache: KVCache | None, layer: int) -> Any:
        batch, time, width = x.shape
        qkv = self.c_attn(x).reshape(batch, time, 3, self.heads, width // self.heads)
        q, k, v = tx.unstack(qkv.permute_dims(2, 0, 3, 1, 4), axis=0)  # (B, H, T, D) each
        mask = None
        if cache is not None:
            seen = cache.length
            k, v = cache.append(layer, k, v)
            if seen and time > 1:  # row i is position seen + i
                places = tx.arange(seen + time, device=x.device)
                mask = places[seen:, None] >= places[None, :]
        whole = time == k.shape[-2]
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, mask, p, is_causal=whole and time > 1)
        y = y.permute_dims(0, 2, 1, 3).reshape(batch, time, width)
        return self.resid_dropout(self.c_proj(y))


class MLP(nn.Module):
    """W₂ f(W₁ x + b₁) + b₂."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden = config.n_inner or 4 * config.n_embd
        self.c_fc = Conv1D(config.n_embd, hidden)
        self.c_proj = Conv1D(hidden, config.n_embd)
        self.activation = ACTIVATIONS[config.activation_function]
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor) -> Any:
        return self.dropout(self.c_proj(self.activation(self.c_fc(x))))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, config.layer_norm_epsilon)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, config.layer_norm_epsilon)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cache: KVCache | None, layer: int) -> Any:
        x = x + self.attn(self.ln_1(x), cache, layer)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Embeddings, blocks and the last normalisation: ids (B, T) -> (B, T, n_embd)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, config.layer_norm_epsilon)

    def forward(self, ids: Tensor, cache: KVCache | None) -> Any:
        if ids.ndim != 2:
            raise ShapeError(f"GPT-2 expects ids (batch, time), got shape {ids.shape}")
        seen, time = cache.length if cache is not None else 0, ids.shape[1]
        longest = self.wpe.num_embeddings
        if seen + time > longest:
            raise ShapeError(f"this model reads {longest} symbols at once, got {seen + time}")
        x = self.drop(self.wte(ids) + self.wpe.weight[seen : seen + time])
        for layer, block in enumerate(self.h):
            x = block(x, cache, layer)
        if cache is not None:
            cache.advance(time)
        return self.ln_f(x)


class GPT2(nn.Module):
    """ids (B, T) -> logits (B, T, vocab_size) of each next symbol; the head is tied to the
    embedding. With a cache (see ``new_cache``) T counts the new positions only."""

    def __init__(self, config: Config, generator: Generator | None = None) -> None:
        super().__init__()
        self.config, self.block_size = config, config.n_positions
        self.tokenizer_files: dict[str, bytes] = {}  # of the checkpoint it was read from
        self.transformer = Transformer(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.transformer.wte.weight
        for name, p in self.named_parameters():
            if p.ndim == 2:  # sec. 2.3: smaller at the ends of residual paths
                std = config.initializer_range
                std /= math.sqrt(2 * config.n_layer) if name.endswith("c_proj.weight") else 1
                nn.init.normal_(p, std=std, generator=generator)

    def forward(self, ids: Tensor, cache: KVCache | None = None) -> Any:
        return self.lm_head(self.transformer(ids, cache))

    def new_cache(self) -> KVCache:
        """An empty cache for one sequence, or a batch of sequences of equal length."""
        return KVCache(self.config.n_layer, self.config.n_positions)

    def generate(self, ids: list[int], count: int, **options: Any) -> list[int]:
        """``ids`` continued, with a cache; ``tinyxp.nn.generation.generate`` has the options."""
        return generate(self, ids, count, **{"cache": self.new_cache()} | options)

    # -- checkpoints --------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "GPT2":
        """Load a folder with ``config.json`` and ``model.safetensors`` (or its shards, named in
        ``model.safetensors.index.json``) to the current backend. 16-bit weights become float32.

        Raises DataError for missing or damaged files, ArgumentError for an unsupported
        configuration, or for weights that do not fit it (naming all of them).
        """
        folder = Path(folder)
        with nn.init.skip_draws():
            model = cls(read_config(folder))
        model.load_state_dict(rename_weights(read_weights(folder)))
        found = (folder / name for name in TOKENIZER if (folder / name).is_file())
        model.tokenizer_files = {path.name: path.read_bytes() for path in found}
        return model.eval()

    def save_pretrained(self, folder: str | Path, tokenizer: BPETokenizer | None = None) -> None:
        """Write ``config.json`` and ``model.safetensors`` as Hugging Face's transformers does, and
        the ``tokenizer.json`` of ``tokenizer``, or the tokenizer files of the loaded checkpoint."""
        folder = Path(folder)
        make_folder(folder)
        fields = dataclasses.asdict(self.config) | FIXED | {"architectures": ["GPT2LMHeadModel"]}
        write_atomically(folder / "config.json", json.dumps(fields, indent=2).encode())
        state = self.state_dict()
        del state["lm_head.weight"]  # tied
        tx.save(state, folder / "model.safetensors", metadata={"format": "pt"})
        if tokenizer is not None:
            tokenizer.save(folder / "tokenizer.json")
        else:
            for name, data in self.tokenizer_files.items():
                write_atomically(folder / name, data)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file. Raises DataError."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not isinstance(fields, dict):
        raise DataError(f"{path} is damaged: expected a JSON object, got {fields!r:.40}")
    return fields


def read_config(folder: Path) -> Config:
    """Read the configuration of a folder."""
    fields = read_json(folder / "config.json")
    for name, known in FIXED.items():
        if fields.get(name, known) != known:
            raise ArgumentError(f"GPT2 knows {name}={known!r} only, got {fields[name]!r}")
    names = {field.name for field in dataclasses.fields(Config)}
    return Config(**{name: value for name, value in fields.items() if name in names})


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read all weights of a folder, from one file or several."""
    index = folder / "model.safetensors.index.json"
    parts = ["model.safetensors"]
    if index.exists():
        parts = sorted(set(read_json(index).get("weight_map", {}).values()))
    return {name: tensor for part in parts for name, tensor in tx.load(folder / part).items()}


def rename_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a checkpoint's weights this model's names: the first checkpoints lack the prefix, and
    store causal masks. Raises ArgumentError for a head that differs from the embedding."""
    found = {}
    for name, tensor in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        known = name.startswith(("transformer.", "lm_head."))
        found[name if known else f"transformer.{name}"] = tensor
    if "transformer.wte.weight" in found:
        embedding = found["transformer.wte.weight"]
        head = found.setdefault("lm_head.weight", embedding)
        if head is not embedding and not bool(tx.all(head == embedding)):
            raise ArgumentError("GPT2 ties lm_head.weight to transformer.wte.weight; these differ")
    return found


def example(config: Config) -> tuple[GPT2, Tensor]:
    """A model without initial values, and a sequence of its full length."""
    with nn.init.skip_draws():
        model = GPT2(config)
    return model, tx.zeros((1, config.n_positions), dtype=tx.int64)


def load(folder: str | Path) -> tuple[GPT2, BPETokenizer]:
    """Load the model of a folder and its tokenizer."""
    return GPT2.from_pretrained(folder), BPETokenizer.load(folder)
