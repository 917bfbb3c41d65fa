"""GPT-2 beside Hugging Face's transformers: the same logits from the same files, both ways."""

import json

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tinyxp.errors import ArgumentError, DataError, ShapeError
from tinyxp.models.gpt2 import GPT2, Config
from tinyxp.random import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
transformers = pytest.importorskip("transformers", reason="pip install transformers")
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

SMALL = {"n_layer": 2, "n_embd": 48, "n_head": 4, "vocab_size": 100, "n_positions": 32}
EDGES = {"bos_token_id": 0, "eos_token_id": 0}


def reference(**options):
    torch.manual_seed(0)
    config = transformers.GPT2Config(**SMALL | EDGES | options)
    return transformers.GPT2LMHeadModel(config).eval()


def ids(*shape, vocab=100):
    return np.random.default_rng(0).integers(0, vocab, size=shape)


@pytest.mark.parametrize(
    "options",
    [{}, {"activation_function": "relu", "n_inner": 20}, {"layer_norm_epsilon": 0.1}],
    ids=str,
)
def test_logits_and_gradients(options, tmp_path, backend):
    theirs = reference(**options)
    theirs.save_pretrained(tmp_path)
    ours, x = GPT2.from_pretrained(tmp_path), ids(3, 20)
    y, z = ours(tx.asarray(x)), theirs(torch.tensor(x)).logits
    close(y, z)
    weights = np.random.default_rng(1).normal(size=y.shape).astype("float32")
    (y * tx.asarray(weights)).sum().backward()
    (z * torch.tensor(weights)).sum().backward()
    expected = dict(theirs.named_parameters())
    found = dict(ours.named_parameters())
    assert found.keys() == expected.keys()
    for name, p in found.items():
        g = expected[name].grad.numpy()
        np.testing.assert_allclose(
            p.grad.numpy(), g, rtol=0, atol=1e-4 * max(1, abs(g).max()), err_msg=name
        )


def test_the_full_shape(tmp_path):
    """124 million parameters, a few symbols."""
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    theirs.save_pretrained(tmp_path)
    ours = GPT2.from_pretrained(tmp_path)
    assert sum(p.size for p in ours.parameters()) == 124_439_808
    x = ids(1, 12, vocab=50257)
    with tx.no_grad(), torch.no_grad():
        whole = ours(tx.asarray(x))
        close(whole, theirs(torch.tensor(x)).logits)
        cache = ours.new_cache()
        for i in range(x.shape[1]):
            close(ours(tx.asarray(x[:, i : i + 1]), cache), whole[:, i : i + 1], tolerance=1e-5)


def test_back_to_transformers(tmp_path):
    ours = GPT2(Config(**SMALL), Generator(0)).eval()
    ours.save_pretrained(tmp_path)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    x = ids(2, 9)
    close(ours(tx.asarray(x)), theirs(torch.tensor(x)).logits)
    again = GPT2.from_pretrained(tmp_path)
    for name, p in again.state_dict().items():
        np.testing.assert_array_equal(p.numpy(), ours.state_dict()[name].numpy(), err_msg=name)
    assert again.lm_head.weight is again.transformer.wte.weight


def test_generation_is_that_of_transformers(tmp_path):
    theirs = reference()
    theirs.save_pretrained(tmp_path)
    expected = theirs.generate(
        torch.tensor([[1, 2, 3]]),
        max_new_tokens=20,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=-1,
    )
    found = GPT2.from_pretrained(tmp_path).generate([1, 2, 3], 20, temperature=0)
    assert found == expected[0].tolist()


def test_the_first_checkpoints(tmp_path):
    """Without the prefix, with a causal mask as a buffer of every layer."""
    from safetensors.torch import save_file

    theirs = reference()
    theirs.save_pretrained(tmp_path)
    old = {
        name.removeprefix("transformer."): p.clone()
        for name, p in theirs.state_dict().items()
        if name != "lm_head.weight"
    }
    for layer in range(2):
        old[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 32, 32)
        old[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(old, tmp_path / "model.safetensors")
    x = ids(1, 7)
    close(GPT2.from_pretrained(tmp_path)(tx.asarray(x)), theirs(torch.tensor(x)).logits)


def test_starts_as_transformers_does():
    config = Config(**SMALL | {"n_embd": 96})
    ours = GPT2(config, Generator(0))
    for name, p in ours.named_parameters():
        values = p.detach().numpy()
        if p.ndim == 2:
            std = 0.02 / 2 if name.endswith("c_proj.weight") else 0.02
            assert abs(values.std() / std - 1) < 0.05, name
        else:
            assert (values == (1 if "ln_" in name and name.endswith("weight") else 0)).all(), name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_and_parts(dtype, tmp_path):
    """Weights of half precision are read exactly, from several files too."""
    theirs = reference().to(getattr(torch, dtype))
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    ours = GPT2.from_pretrained(tmp_path)
    expected = theirs.state_dict()
    for name, p in ours.state_dict().items():
        assert p.dtype is tx.float32
        np.testing.assert_array_equal(p.numpy(), expected[name].float().numpy(), err_msg=name)


def test_errors(tmp_path):
    theirs = reference()
    with pytest.raises(DataError, match=r"cannot read .*config\.json"):
        GPT2.from_pretrained(tmp_path / "nowhere")
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())

    def rewritten(**fields):
        (tmp_path / "config.json").write_text(json.dumps(config | fields))

    for fields, words in (
        ({"model_type": "bert"}, "model_type='gpt2' only, got 'bert'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=False only"),
        ({"activation_function": "swiglu"}, "unknown activation_function 'swiglu'"),
        ({"n_head": 5}, "n_embd 48 must be a multiple of n_head 5"),
        ({"n_head": 0}, "n_head expects an integer from 1 up, got 0"),
        ({"n_embd": None}, "n_embd expects an integer from 1 up, got None"),
        ({"activation_function": ["relu"]}, "unknown activation_function"),
        ({"n_positions": 16, "n_layer": 3}, r"missing: .*h\.2.*misshapen: transformer\.wpe"),
    ):
        rewritten(**fields)
        with pytest.raises(ArgumentError, match=words):
            GPT2.from_pretrained(tmp_path)
    for text in ("{", "[1]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(DataError, match="is damaged"):
            GPT2.from_pretrained(tmp_path)
    rewritten()
    weights = tx.load(tmp_path / "model.safetensors")
    tx.save(weights | {"lm_head.weight": tx.zeros((100, 48))}, tmp_path / "model.safetensors")
    with pytest.raises(ArgumentError, match="these differ"):
        GPT2.from_pretrained(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot make the folder"):
        GPT2(Config(**SMALL)).save_pretrained(tmp_path / "file")
    with pytest.raises(ShapeError, match=r"ids \(batch, time\), got shape \(3,\)"):
        GPT2(Config(**SMALL))(tx.asarray([1, 2, 3]))
