"""The doctor names the line or cause in every broken model, and finds nothing in healthy ones."""

import math

import numpy as np
import pytest

import tinyxp as tx
from tests.debug.gallery import BROKEN, HEALTHY, cuts, detours, healthy_models, lost, structure  # noqa: F401, cases

broken_cases = pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
RAW = {case for case in BROKEN if case.make.__module__.endswith("detours")}


def build(make):
    """A fresh model, its loss's function, and its optimizer or None."""
    tx.manual_seed(0)
    model, run, *rest = make()
    return model, run, *(rest or [None])


def examine(make):
    model, run, optimizer = build(make)
    with np.errstate(all="ignore"):
        with tx.doctor.watch():
            loss = run()
        return tx.doctor(loss, model, optimizer)


def test_the_gallery_is_large():
    assert len(BROKEN) >= 25 and len(HEALTHY) >= 10
    assert len({case.name for case in BROKEN}) == len(BROKEN)


@broken_cases
def test_a_broken_model_is_understood(case):
    report = examine(case.make)
    found = [finding for finding in report.findings if finding.kind == case.kind]
    assert found, str(report)
    names = {name for finding in found for name in finding.parameters}
    assert names >= set(case.parameters), str(report)
    assert any(set(finding.parameters) & set(case.parameters) for finding in found)
    if case.line is not None:
        home = f"{case.make.__module__.split('.')[-1]}.py"
        for finding in found:
            lines = [site.line for site in finding.sites if site.file.endswith(home)]
            assert case.line in lines, str(report)
            assert finding.site == finding.sites[0]
            if case.name != "no_grad_around_all":  # which began elsewhere than it met the model
                assert finding.site.line == case.line, str(report)
    text = str(report)
    for word in case.words:
        assert word in text
    assert text.splitlines()[-1].startswith("to fix: ")


@pytest.mark.parametrize("name", ["strict", "torch"])
@broken_cases
def test_on_other_backends(case, name):
    pytest.importorskip({"strict": "array_api_strict"}.get(name, name), reason=f"needs {name}")
    if case in RAW:
        pytest.skip("goes through NumPy's arrays")
    with tx.backend(name):
        test_a_broken_model_is_understood(case)


@pytest.mark.parametrize("make", HEALTHY, ids=lambda make: make.__name__)
def test_a_healthy_model_is_left_in_peace(make):
    report = examine(make)
    assert report.findings == [], str(report)
    assert str(report).splitlines()[-1].startswith("healthy")


# -- the gallery is what it says, whatever the doctor thinks ------------------------------------


@broken_cases
def test_a_broken_model_is_broken(case):
    """By its gradients, its parameters' names, its steps, or a difference; see the kinds."""
    model, run, optimizer = build(case.make)
    params = dict(model.named_parameters())
    with np.errstate(all="ignore"):
        loss = run()
        if loss.requires_grad:
            loss.backward()
    some = {name: params[name] for name in case.parameters if name in params}
    sizes = {name: size(p.grad) for name, p in params.items()}
    if case.kind in ("missing", "unused"):
        assert some and all(p.grad is None for p in some.values())
    elif case.kind == "unregistered":
        assert not some
    elif case.kind == "frozen":
        assert not any(p.requires_grad for p in params.values())
    elif case.kind == "zero":
        assert some and all(sizes[name] == 0 for name in some)
    elif case.kind == "vanishing":
        largest = max(n for n in sizes.values())
        assert all(typical(p.grad) < 1e-3 * largest for p in some.values())
    elif case.kind == "exploding":
        assert all(sizes[name] > 1e4 for name in some)
    elif case.kind == "nan":
        assert all(not math.isfinite(sizes[name]) for name in some)
    elif case.kind == "incomplete":
        name = case.parameters[0]
        assert slope_is_wrong(case.make, name)
    else:
        before = {name: p.detach().tolist() for name, p in some.items()}
        optimizer.step()
        assert all(p.detach().tolist() == before[name] for name, p in some.items())


def size(g):
    return -1.0 if g is None else float(np.abs(g.numpy()).max())


def typical(g):
    """The median: in a saturated layer a few elements are not."""
    return float(np.median(np.abs(g.numpy())))


def slope_is_wrong(make, name):
    """Whether a parameter's gradient is far from the difference of losses along it."""
    losses = []
    for shift in (0.0, 1e-2, -1e-2):
        model, run, _ = build(make)
        p = dict(model.named_parameters())[name]
        loss = run()
        if shift == 0.0:
            loss.backward()
            direction = p.grad.numpy() / np.linalg.norm(p.grad.numpy())
            slope = np.linalg.norm(p.grad.numpy())
            continue
        with tx.no_grad():
            p += tx.asarray(shift * direction)
        losses.append(run().item())
    measured = (losses[0] - losses[1]) / 2e-2
    return abs(measured - slope) > 0.05 * abs(slope)


@pytest.mark.parametrize("make", HEALTHY, ids=lambda make: make.__name__)
def test_a_healthy_model_learns(make):
    model, run, optimizer = build(make)
    before = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    losses = []
    for _ in range(40):
        loss = run()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.97 * np.mean(losses[:3])
    for name, p in model.named_parameters():
        if p.requires_grad:
            assert math.isfinite(size(p.grad))
            assert not bool((p.detach() == before[name]).all()), name
