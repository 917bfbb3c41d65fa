"""The doctor: what it measures, what it leaves alone, and what it says of optimizers and files.

That it names the line which cuts a gradient is shown by the gallery (test_gallery.py).
"""

import copy

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import here
from tinyxp import nn
from tinyxp.commands import main
from tinyxp.errors import DTypeError, GradientError
from tinyxp.nn import functional as F


def healthy(seed=0):
    tx.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))


X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
Y = np.arange(16) % 2


def loss_of(model):
    return F.cross_entropy(model(tx.asarray(X)), tx.asarray(Y))


def test_the_table_holds_what_a_step_would_do(backend):
    model = healthy().to(backend)
    optimizer = tx.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    report = tx.doctor(loss_of(model), model, optimizer)
    assert report.healthy and report.findings == []
    loss_of(model).backward()
    before = {name: p.detach() for name, p in model.named_parameters()}
    optimizer.step()
    for row, (name, p) in zip(report.rows, model.named_parameters(), strict=True):
        old = before[name].numpy()
        assert (row.name, row.shape, row.state) == (name, p.shape, "fine")
        assert row.weight == pytest.approx(np.linalg.norm(old), rel=1e-5)
        assert row.gradient == pytest.approx(np.linalg.norm(p.grad.numpy()), rel=1e-5)
        moved = np.linalg.norm(p.detach().numpy() - old)
        assert row.update == pytest.approx(moved / np.linalg.norm(old), rel=1e-4)
    lines = str(report).splitlines()
    assert lines[0].split() == ["parameter", "shape", "|weight|", "|gradient|", "update/weight",
                                "state"]  # fmt: skip
    assert lines[-1] == "healthy: every trained parameter gets a gradient"


@pytest.mark.parametrize("make", [tx.optim.Adam, tx.optim.SGD, tx.optim.RMSprop, tx.optim.Muon])
def test_an_examination_changes_nothing(make):
    model, twin = healthy(), healthy()
    model = nn.Sequential(model[0], model[2]) if make is tx.optim.Muon else model
    twin = nn.Sequential(twin[0], twin[2]) if make is tx.optim.Muon else twin
    pairs = []
    for net in (model, twin):
        params = [p for p in net.parameters() if make is not tx.optim.Muon or p.ndim == 2]
        pairs.append((net, make(params, lr=0.01)))
    for step in range(4):
        for net, optimizer in pairs:
            loss = loss_of(net)
            if net is model and step > 1:
                tx.doctor(loss, net, optimizer)  # before backward …
            optimizer.zero_grad()
            loss.backward()
            if net is model and step > 1:
                tx.doctor(loss, net, optimizer)  # … and after it
            optimizer.step()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert a.tolist() == b.tolist()


def test_gradients_may_have_been_computed_already():
    model = healthy()
    loss = loss_of(model)
    first = [row.gradient for row in tx.doctor(loss, model).rows]
    loss.backward()
    assert [row.gradient for row in tx.doctor(loss, model).rows] == first
    model.zero_grad()
    with pytest.raises(GradientError, match="call the doctor before zero_grad"):
        tx.doctor(loss, model)


def test_without_a_watch_it_says_how_to_learn_the_line():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.b(self.a(x).detach())

    model = Cut()
    (finding,) = tx.doctor(loss_of(model), model).findings
    assert (finding.kind, finding.parameters) == ("missing", ["a.weight", "a.bias"])
    assert "with tx.doctor.watch()" in finding.remedy


def test_a_watch_of_another_pass_is_not_taken_for_this_one():
    model = healthy()
    with tx.doctor.watch():
        loss_of(model)
    with tx.no_grad():
        other = loss_of(model)
    (finding,) = tx.doctor(other, model).findings
    assert finding.kind == "missing" and finding.site is None


def test_lines_of_two_cuts_are_both_named():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Linear(3, 3) for _ in range(3))

        def forward(self, x):
            h = self.a(x).detach()  # FIRST
            h = tx.tensor(np.tanh(self.b(h).array))  # SECOND
            return self.c(h)

    model = Twice()
    with tx.doctor.watch():
        loss = model(tx.asarray(X)).mean()
    a, b = tx.doctor(loss, model).findings
    assert (a.parameters, a.site.line) == (["a.weight", "a.bias"], here(__file__, "# FIRST"))
    assert (b.parameters, b.site.line) == (["b.weight", "b.bias"], here(__file__, "# SECOND"))
    assert "to fix: remove detach() at" in str(tx.doctor(loss, model))


def test_what_an_optimizer_holds():
    model = healthy()
    other = tx.optim.SGD(copy.deepcopy(model).parameters(), lr=0.1)
    (finding,) = tx.doctor(loss_of(model), model, other).findings
    assert finding.kind == "stale optimizer"
    assert finding.parameters == [name for name, _ in model.named_parameters()]
    part = tx.optim.SGD(model[0].parameters(), lr=0.1)
    (finding,) = tx.doctor(loss_of(model), model, part).findings
    assert finding.parameters == ["2.weight", "2.bias"]
    still = tx.optim.SGD(model.parameters(), lr=0.0)
    (finding,) = tx.doctor(loss_of(model), model, still).findings
    assert (finding.kind, len(finding.parameters)) == ("lr", 4)
    wild = tx.optim.SGD(model.parameters(), lr=1e4)
    (finding,) = tx.doctor(loss_of(model), model, wild).findings
    assert finding.kind == "lr" and "times their own size" in finding.message
    slow = tx.optim.SGD(model.parameters(), lr=1e-12)
    (finding,) = tx.doctor(loss_of(model), model, slow).findings
    assert finding.kind == "lr" and "too small (learning rate 1e-12)" in finding.message


def test_only_a_loss_and_a_model_will_do():
    with pytest.raises(DTypeError, match=r"a loss \(Tensor\) and a model \(Module\), got float"):
        tx.doctor(1.0, healthy())
    with pytest.raises(GradientError, match="reduce it"):
        tx.doctor(healthy()(tx.asarray(X)), healthy())


FILE = """
import tinyxp as tx
from tinyxp import nn

model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))

def good():
    return model(tx.ones((4, 3))).mean(), model

def bad():
    h = model[0](tx.ones((4, 3)))
    h = h.detach()
    return model[1](h).mean(), model, tx.optim.SGD(model.parameters(), lr=0.1)

def wrong():
    return 3

number = 3
"""


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    assert main(["doctor", "mine.py:good"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("healthy")
    assert main(["doctor", "mine.py:bad", "--graph", "bad.mmd"]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "picture: bad.mmd"
    assert '-. "detach() at mine.py:12" .->' in (tmp_path / "bad.mmd").read_text()
    assert "missing: 0.weight, 0.bias" in out
    assert "cut at mine.py:12 by detach()" in out
    assert "mine.py:12: h = h.detach()" in out
    for target, message in {
        "mine.py:wrong": "must return (loss, model) or (loss, model, optimizer), got int",
        "mine.py:number": "mine.py:number is no function, but 3",
        "none.py:f": "there is no file none.py",
        "mine.py": "mine.py has several of these; say which: mine.py:good, mine.py:bad, mine",
        "mine": "expected FILE.py:NAME or FILE.py, got 'mine'",
        "mine.py:god": "mine.py has no 'god'; it has good, bad, wrong",
    }.items():
        assert main(["doctor", target]) == 2
        assert message in capsys.readouterr().err


# -- losses, rows, rates --------------------------------------------------------------------------


def softmax_by_hand(z):
    e = tx.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


TWICE = {
    "softmax": lambda z, y: F.cross_entropy(F.softmax(z, dim=1), y),  # SOFTMAX
    "a module": lambda z, y: nn.CrossEntropyLoss()(nn.Softmax(dim=1)(z), y),
    "reshaped": lambda z, y: F.cross_entropy(F.softmax(z, dim=-1).reshape(-1, 2), y),
    "nll_loss": lambda z, y: F.nll_loss(F.softmax(z, dim=1), y),
    "sigmoid": lambda z, y: F.binary_cross_entropy_with_logits(tx.sigmoid(z[:, 0]), y / 1.0),
}
ONCE = {
    "logits": F.cross_entropy,
    "log_softmax": lambda z, y: F.nll_loss(F.log_softmax(z, dim=1), y),
    "small": lambda z, y: F.binary_cross_entropy_with_logits(tx.clip(z[:, 0], 0.1, 0.9), y / 1.0),
    "attention": lambda z, y: F.cross_entropy(F.softmax(z @ z.mT, dim=1) @ z, y),
    "soft targets": lambda z, y: F.cross_entropy(z, F.softmax(tx.flip(z.detach(), axis=0), dim=1)),
}


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "alone"])
@pytest.mark.parametrize("name", TWICE)
def test_probabilities_in_the_place_of_logits(name, watched, backend):
    model = healthy().to(backend)
    x, y = tx.asarray(X), tx.asarray(Y)
    y = y.astype(tx.float32) if name == "sigmoid" else y
    if watched:
        with tx.doctor.watch():
            loss = TWICE[name](model(x), y)
    else:
        loss = TWICE[name](model(x), y)
    findings = tx.doctor(loss, model).findings
    if not watched and (backend != "numpy" or name in ("nll_loss", "sigmoid")):
        return  # formulas run operation by operation there: only a watch knows their names
    (finding,) = findings
    assert finding.kind == "probabilities"
    assert "logits" in finding.message or "logarithms" in finding.message
    if watched:
        assert str(finding.site).endswith(f"test_doctor.py:{finding.site.line}")
        if name == "softmax":
            assert finding.site.line == here(__file__, "# SOFTMAX")


def test_a_softmax_of_ones_own_is_seen_by_its_numbers():
    model = healthy()
    with tx.doctor.watch():
        loss = F.cross_entropy(softmax_by_hand(model(tx.asarray(X))), tx.asarray(Y))
    assert [finding.kind for finding in tx.doctor(loss, model).findings] == ["probabilities"]


@pytest.mark.parametrize("name", ONCE)
def test_what_is_right_is_left_alone(name, backend):
    model = healthy().to(backend)
    y = tx.asarray(Y)
    with tx.doctor.watch():
        loss = ONCE[name](model(tx.asarray(X)), y.astype(tx.float32) if name == "small" else y)
    findings = tx.doctor(loss, model).findings
    assert not [finding for finding in findings if finding.kind == "probabilities"]


def test_a_rate_of_100_is_not_healthy():
    model = healthy()
    (finding,) = tx.doctor(loss_of(model), model, tx.optim.SGD(model.parameters(), lr=100)).findings
    assert finding.kind == "lr" and "times their own size" in finding.message
    for make, lr in ((tx.optim.SGD, 0.1), (tx.optim.SGD, 1.0), (tx.optim.Adam, 0.01)):
        assert tx.doctor(loss_of(model), model, make(model.parameters(), lr=lr)).healthy


def test_rows_of_blocks_alike_are_one():
    tx.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(9)]
    model = nn.Sequential(*blocks, nn.Linear(3, 2))
    report = tx.doctor(loss_of(model), model, tx.optim.Adam(model.parameters(), lr=1e-3))
    assert len(report.rows) == 20
    table = str(report).split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in table[1:]] == [
        "0...8.0.weight", "0...8.0.bias", "9.weight", "9.bias",
    ]  # fmt: skip
    assert max(map(len, table)) < 80
    assert " to " in table[1]
    model = healthy()
    few = tx.doctor(loss_of(model), model)
    assert str(few).count("\n") == 6
