"""Trees of values come back from a file as they were; the files of a run are kept and chosen."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.errors import ArgumentError, DataError
from tinyxp.files.safetensors import DIGEST, read, remove_temporary
from tinyxp.files.state import load_state, save_state
from tinyxp.selftest.fuzz import equal_bits
from tinyxp.train.checkpoints import Checkpoints


def test_a_tree_comes_back(backend, tmp_path, rng):
    x = tx.asarray(rng.normal(size=(3, 4)))
    tree = {
        "numbers": [1, 2.5, -math.inf, True, None, "ü\n", 2**70, 1e-320],
        "nested": {0: (x, x.T), "a/b": {"c": x[:, ::2]}, "a": {"b/c": tx.arange(3)}},
        "array": np.arange(5, dtype=np.uint32),
        "numpy number": np.float64(0.1),
        "empty": [{}, (), [], tx.zeros((0, 3))],
    }
    save_state(tree, tmp_path / "a.safetensors")
    found = load_state(tmp_path / "a.safetensors")
    assert found["numbers"] == tree["numbers"]
    assert type(found["nested"][0]) is tuple and 0 in found["nested"]
    assert found["array"].dtype is tx.uint32 and found["array"].tolist() == [0, 1, 2, 3, 4]
    assert found["numpy number"] == 0.1
    assert found["empty"][:3] == [{}, (), []]
    del tree["array"], found["array"]
    assert equal_bits(found, tree)
    for part, place in ((found["nested"][0][1], x.T), (found["nested"]["a/b"]["c"], x[:, ::2])):
        np.testing.assert_array_equal(part.numpy(), place.numpy())
        assert part.backend.name == backend
    assert found["nested"]["a"]["b/c"].tolist() == [0, 1, 2]


def test_a_checkpoint_as_pytorchs_users_write_it(backend, tmp_path):
    """Saved by tx.save, loaded by tx.load, whole; and training goes on with the same bits."""
    path = tmp_path / "checkpoint.safetensors"

    def begun():
        tx.manual_seed(0)
        model = tx.nn.Sequential(tx.nn.Linear(3, 4), tx.nn.BatchNorm1d(4), tx.nn.Linear(4, 1))
        optimizer = tx.optim.AdamW(model.parameters(), lr=0.1)
        return model, optimizer, tx.optim.lr_scheduler.StepLR(optimizer, 2)

    def trained(model, optimizer, schedule, steps):
        x = tx.asarray(np.linspace(-1, 1, 12).reshape(4, 3), dtype=tx.float32)
        for _ in range(steps):
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optimizer.step()
            schedule.step()
        return [v.numpy().tobytes() for v in model.state_dict().values()]

    parts = begun()
    trained(*parts, 3)
    model, optimizer, schedule = (part.state_dict() for part in parts)
    saved = {"model": model, "optimizer": optimizer, "scheduler": schedule, "epoch": 1}
    saved |= {
        "history": [(0.5, "first"), (0.25, None)],
        "generator": tx.random.Generator(3).state_dict(),
    }
    tx.save(saved, path, {"made": "today"})
    assert read(path)[1]["made"] == "today"
    found = tx.load(path)
    assert equal_bits(found, saved) and list(found) == list(saved)
    expected = trained(*parts, 3)
    heirs = begun()
    for heir, name in zip(heirs, ("model", "optimizer", "scheduler"), strict=True):
        heir.load_state_dict(found[name])
    assert trained(*heirs, 3) == expected


@pytest.mark.parametrize(
    "obj",
    [
        *(tx.ones(2), [tx.ones(2), 3], {"a": 1}, {0: tx.ones(2)}, {"a": {"b": tx.ones(1)}}),
        *({"__metadata__": tx.ones(1)}, 3, None, (), {}),
    ],
    ids=repr,
)
def test_whatever_is_saved_comes_back(obj, tmp_path):
    tx.save(obj, tmp_path / "a.safetensors")
    assert equal_bits(tx.load(tmp_path / "a.safetensors"), obj)


def test_tensors_by_name_stay_a_plain_file(tmp_path):
    """Which other libraries read."""
    tx.save({"a": tx.ones(2), "b": tx.zeros(1)}, tmp_path / "a.safetensors")
    assert read(tmp_path / "a.safetensors")[1].keys() == {DIGEST}
    for what, name in ((tx.nn.Linear(1, 1), "Linear"), (tx.optim.SGD([tx.ones(1)]), "SGD")):
        with pytest.raises(ArgumentError, match=rf"{name} at /m; .*such as its state_dict\(\)"):
            tx.save({"m": what}, tmp_path / "b.safetensors")


def test_names_that_meet_are_kept_apart(tmp_path):
    one, two, three, four = (tx.asarray(float(n)) for n in range(1, 5))
    tree = {"a/b": one, "a/b 1": two, "a/b 2": three, "a": {"b": four}, 0: one, "0": two}
    save_state(tree, tmp_path / "a.safetensors")
    assert equal_bits(load_state(tmp_path / "a.safetensors"), tree)


def test_what_has_no_end_is_refused(tmp_path):
    ring: list = []
    ring.append(ring)
    for tree, message in ((ring, "nested too deep"), ({"n": 10**6000}, "cannot save: Exceeds")):
        with pytest.raises(ArgumentError, match=message):
            save_state(tree, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_nan_comes_back(tmp_path):
    save_state([math.nan], tmp_path / "a.safetensors")
    assert math.isnan(load_state(tmp_path / "a.safetensors")[0])


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": [print]}, "cannot save a builtin_function_or_method at /a/0"),
        ({"a": {(1, 2): 3}}, r"keys are strings or integers, got \(1, 2\) at /a"),
        (1j, "cannot save a complex at /"),
    ],
)
def test_what_cannot_be_saved_is_named(tree, message, tmp_path):
    with pytest.raises(ArgumentError, match=message):
        save_state(tree, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    tx.save({"x": tx.ones(3)}, path)
    with pytest.raises(DataError, match="holds tensors, but no training state; tx.load reads it"):
        load_state(path)
    for name, advice in (("a.npz", "np.load"), ("a.pt", "weights_only=True"), ("a.pkl", "trust")):
        for act in (lambda path: tx.save({}, path), tx.load, load_state):
            with pytest.raises(DataError, match=f"only safetensors, because a .*{advice}"):
                act(tmp_path / name)


def test_every_flipped_bit_is_found(tmp_path):
    """Also one in the metadata that the user wrote."""
    path = tmp_path / "a.safetensors"
    tx.save({"x": tx.ones(2)}, path, {"made": "yesterday"})
    data = path.read_bytes()
    tensors, words = read(path)
    accepted = 0
    for i in range(len(data) * 8):
        path.write_bytes(data[: i // 8] + bytes([data[i // 8] ^ 1 << i % 8]) + data[i // 8 + 1 :])
        try:
            found, metadata = read(path)
        except DataError:
            continue
        accepted += 1
        if DIGEST in metadata:  # else the flip was in that word, and there is nothing to compare
            assert equal_bits(found, tensors) and metadata == words
    assert accepted < 8 * len(DIGEST) + 8


def test_names_that_come_twice_are_refused(tmp_path):
    entry = '"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    header = f"{{{entry},{entry}}}".encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1")
    with pytest.raises(DataError, match="a name comes twice"):
        tx.load(tmp_path / "a.safetensors")


def test_a_sparse_giant_is_refused_unread(tmp_path):
    path = tmp_path / "a.safetensors"
    with open(path, "wb") as file:
        file.write((1 << 40).to_bytes(8, "little"))
        file.truncate(1 << 41)
    with pytest.raises(DataError, match="a header of 1099511627776 bytes"):
        tx.load(path)


# -- the checkpoints of a run ---------------------------------------------------------------------


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    kept = Checkpoints(tmp_path / "c", keep=2)
    assert kept.steps() == [] and kept.latest() is None
    for step, score in ((10, None), (20, 1.0), (30, 3.0), (40, 2.0), (50, 4.0)):
        kept.save(step, {"n": step}, score)
    assert kept.steps() == [20, 40, 50]
    again = Checkpoints(tmp_path / "c", keep=1)
    assert again.latest() == (50, {"n": 50})
    again.save(60, {"n": 60}, 1.5)
    assert again.steps() == [20, 60]
    again.save(70, {"n": 70}, 0.5)
    assert again.steps() == [70]


def test_a_damaged_checkpoint_gives_way_to_an_earlier_one(tmp_path):
    kept = Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3):
        kept.save(step, step)
    kept.path(3).write_bytes(b"")
    kept.path(2).write_bytes(kept.path(2).read_bytes()[:-1])
    with pytest.warns(UserWarning, match="using an earlier checkpoint"):
        assert kept.latest() == (1, 1)


def test_stale_temporary_files_are_removed(tmp_path):
    """Those of dead processes, by who writes; a look changes nothing."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = [tmp_path / f".step-00000001.safetensors{n}.{'0a' * 16}" for n in ("", f".{dead.pid}")]
    others = [tmp_path / ".gitignore", tmp_path / ".a.short", tmp_path / f"a.{'0a' * 16}"]
    others.append(tmp_path / f".step-00000002.safetensors.{os.getpid()}.{'0a' * 16}")
    for path in (*stale, *others):
        path.write_text("x")
    kept = Checkpoints(tmp_path)
    assert kept.steps() == [] and kept.latest() is None
    assert sorted(tmp_path.iterdir()) == sorted([*stale, *others])
    kept.save(3, {})
    assert sorted(tmp_path.iterdir()) == sorted([kept.path(3), *others])
    remove_temporary(tmp_path / "absent")
    with pytest.raises(ArgumentError, match="keep expects a whole number"):
        Checkpoints(tmp_path, keep=0)


def test_a_state_is_no_code(tmp_path):
    """Unknown kinds in the JSON of a file whose digest is right."""
    from tinyxp.files.state import KEY

    for words in ({"pickle": "cos\nsystem"}, {"tensor": "absent"}, {"a": 1, "b": 2}, {}):
        tx.save({}, tmp_path / "a.safetensors", {KEY: json.dumps(words)})
        with pytest.raises(DataError, match="is damaged"):
            load_state(tmp_path / "a.safetensors")
