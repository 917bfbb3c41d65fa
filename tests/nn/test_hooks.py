"""Hooks of modules, beside PyTorch's: what they are given, and what becomes of what they return."""

import copy

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.errors import DTypeError

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
X = np.asarray([[1.0, -2.0], [0.5, 3.0]])


def values(x):
    """Tensors of either library in nested tuples, as lists of numbers."""
    if isinstance(x, (tuple, list)):
        return [values(part) for part in x]
    return None if x is None else np.asarray(x.detach()).tolist()


def both(run):
    """What ``run(library, nn, tensor)`` gives with tinyxp and with PyTorch, which is the same."""

    def theirs(data, requires_grad=False):
        return torch.tensor(data, dtype=torch.float64, requires_grad=requires_grad)

    def ours(data, requires_grad=False):
        return tx.asarray(data, dtype=tx.float64, requires_grad=requires_grad)

    found, expected = run(nn, ours), run(torch.nn, theirs)
    assert found == expected
    return found


def layer(n, tensor):
    """A linear layer with known weights."""
    module = n.Linear(2, 2)
    module.load_state_dict({"weight": tensor([[1.0, 2.0], [3.0, -1.0]]), "bias": tensor([0.5, 1])})
    return module.to(dtype=tensor([1.0]).dtype)


def test_forward_hooks_replace_inputs_and_output():
    def run(n, tensor):
        seen, module = [], layer(n, tensor)
        module.register_forward_pre_hook(lambda m, args: seen.append(values(args)))
        module.register_forward_pre_hook(lambda m, args: args[0] * 2)
        module.register_forward_pre_hook(lambda m, args: (args[0] + 1,), prepend=True)
        module.register_forward_hook(lambda m, args, y: seen.append(values([args, y])))
        module.register_forward_hook(lambda m, args, y: y**2)
        y = module(tensor(X))
        return seen, values(y)

    seen, _ = both(run)
    assert seen[0] == [(X + 1).tolist()]


def test_hooks_with_keyword_arguments():
    class Scale:
        def forward(self, x, by=1.0):
            return x * by

    def run(n, tensor):
        module = type("Scale", (n.Module,), {"forward": Scale.forward})()
        seen = []
        module.register_forward_pre_hook(
            lambda m, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True
        )
        module.register_forward_hook(
            lambda m, args, kwargs, y: seen.append(kwargs["by"]), with_kwargs=True
        )
        return values(module(tensor(X), by=2.0)), seen

    assert both(run)[1] == [3.0]


def test_backward_hooks_see_and_replace_gradients():
    def run(n, tensor):
        seen, module = [], layer(n, tensor)
        module.register_full_backward_pre_hook(lambda m, gy: (gy[0] * 3,))
        module.register_full_backward_hook(lambda m, gx, gy: seen.append(values([gx, gy])))
        module.register_full_backward_hook(lambda m, gx, gy: (gx[0] * 2,))
        x = tensor(X, requires_grad=True)
        (module(x) ** 2).sum().backward()
        return seen, values([x.grad, module.weight.grad, module.bias.grad])

    both(run)


@pytest.mark.parametrize("which", [(True, True), (True, False), (False, False)])
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_backward_hooks_of_several_inputs_and_outputs(which):
    class Both:
        def forward(self, a, b):
            return self.weight * a * b, a + b

    def run(n, tensor):
        module = type("Both", (n.Module,), {"forward": Both.forward})()
        module.weight = n.Parameter(tensor([2.0, 3.0]))
        seen = []
        module.register_full_backward_hook(lambda m, gx, gy: seen.append(values([gx, gy])))
        a, b = (tensor(X, requires_grad=grad) for grad in which)
        y, _ = module(a, b)
        y.sum().backward()  # the second output is not used
        return seen if any(which) else len(seen), values([a.grad, b.grad, module.weight.grad])

    ours = type("Both", (nn.Module,), {"forward": Both.forward})()
    ours.weight = nn.Parameter(tx.asarray([2.0, 3.0], dtype=tx.float64))
    if any(which):  # PyTorch fills the gradient of an unused output with zeros
        seen = []
        ours.register_full_backward_hook(lambda m, gx, gy: seen.append((gx, gy)))
        a, b = (tx.asarray(X, requires_grad=grad) for grad in which)
        y, _ = ours(a, b)
        y.sum().backward()
        (gx, gy), *rest = seen
        assert not rest
        np.testing.assert_allclose(np.asarray(gx[0]), [2.0, 3.0] * X)
        assert (gx[1] is not None) == which[1]
        np.testing.assert_allclose(np.asarray(gy[0]), np.ones((2, 2)))
        assert gy[1] is None
    else:
        both(run)


def test_hooked_gradients_can_be_differentiated():
    module = nn.Linear(2, 1, dtype=tx.float64)
    module.register_full_backward_hook(lambda m, gx, gy: (gx[0] * 2,))

    def loss(x):
        return (module(x) ** 3).sum()

    x = tx.asarray(X, requires_grad=True)
    (g,) = tx.autograd.grad(loss(x), [x], create_graph=True)
    (h,) = tx.autograd.grad((g**2).sum(), [x])

    def by_hand(x):
        w, b = module.weight, module.bias
        y = x @ w.mT + b
        return 2 * 3 * y**2 * w  # doubled by the hook

    expected = tx.grad(lambda x: (by_hand(x) ** 2).sum())(tx.asarray(X))
    np.testing.assert_allclose(np.asarray(g.detach()), np.asarray(by_hand(x).detach()))
    # on its way to x the second derivative passes the hook, which doubles it again
    np.testing.assert_allclose(np.asarray(h), 2 * np.asarray(expected.detach()))


def test_a_hook_is_removed_copied_and_refused():
    module, seen = nn.ReLU(), []
    handle = module.register_forward_hook(lambda m, args, y: seen.append(1))
    with module.register_forward_hook(lambda m, args, y: seen.append(2)):
        module(tx.zeros(1))
    copy.deepcopy(module)(tx.zeros(1))
    handle.remove()
    handle.remove()
    module(tx.zeros(1))
    assert seen == [1, 2, 1]
    with pytest.raises(DTypeError, match="a hook must be a function, got int"):
        module.register_forward_hook(3)
    layer = nn.Linear(1, 1)
    layer.register_full_backward_hook(lambda m, gx, gy: (gx[0], gx[0]))
    with pytest.raises(DTypeError, match="must return 1 gradients or None, got 2"):
        layer(tx.asarray([[1.0]], requires_grad=True)).sum().backward()
    with tx.no_grad():
        assert layer(tx.ones((1, 1))).requires_grad is False


def test_at_a_path():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1)))
    assert model.get_parameter("1.0.weight") is model[1][0].weight
    model.register_buffer("count", tx.asarray(1))
    assert model.get_buffer("count") is model.count
    for wrong in ("1.0.gain", "count"):
        with pytest.raises(nn.ModuleError, match=r"among its parameters"):
            model.get_parameter(wrong)


def test_summary(backend):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 3)
            self.drop = nn.Dropout(0.5)
            self.attention = nn.MultiheadAttention(3, 1, bias=False)
            self.head = nn.Linear(3, 5)
            self.head.weight = self.embedding.weight
            self.register_buffer("table", tx.zeros(2, dtype=tx.float64))
            self.spare = nn.ReLU()

        def forward(self, ids):
            x = self.drop(self.embedding(ids))
            return self.head(self.attention(x, x, x)[0])

    model = Net()
    model.drop.eval()
    model.head.bias.requires_grad_(False)
    ids = tx.zeros((2, 4), dtype=tx.int64)
    assert nn.summary(model, ids) == (
        "module              kind                output                parameters\n"
        "-                   Net                 (2, 4, 5)                      0\n"
        "embedding           Embedding           (2, 4, 3)                     15\n"
        "drop                Dropout             (2, 4, 3)                      0\n"
        "attention           MultiheadAttention  (2, 4, 3), (4, 2, 2)          27\n"
        "attention.out_proj  Linear              (4, 2, 3)                      9\n"
        "head                Linear              (2, 4, 5)                      5\n"
        "spare               ReLU                -                              0\n"
        "56 parameters, of which 51 are trained; 240 bytes with buffers"
    )
    assert model.training
    assert not model.drop.training
    assert not any(module._hooks.get("forward") for module in model.modules())
    assert "output" not in nn.summary(model)
