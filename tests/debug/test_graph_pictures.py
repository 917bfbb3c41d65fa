"""Pictures of graphs: every operation, shape and parameter stands there, at a place of its own."""

import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

import tinyxp as tx
from tests.helpers import here
from tinyxp import nn
from tinyxp.debug.pictures import layout
from tinyxp.errors import ArgumentError, DTypeError, GradientError
from tinyxp.models.transformer import GPT, Config
from tinyxp.nn import functional as F

SVG = "{http://www.w3.org/2000/svg}"


def mlp():
    tx.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def gpt(layers=4):
    model = GPT(Config(n_layer=layers, n_embd=8, n_head=2, block_size=6), 11)
    return model, model.loss((tx.randint(0, 11, (2, 6)), tx.randint(0, 11, (2, 6))))


def boxes(svg):
    """The boxes of a picture: their lines of text, and left, top, right and bottom."""
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if group.get("class") != "frame":
            rect = group.find(f"{SVG}rect")
            x, y, w, h = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
            lines = ["".join(text.itertext()) for text in group.iter(f"{SVG}text")]
            found.append((group.get("class"), lines, (x, y, x + w, y + h)))
    return found


def paths(svg):
    """The arrows: where each begins and ends, and its class."""
    found = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        if path.get("marker-end"):
            numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.get("d"))]
            found.append((numbers[:2], numbers[-2:], path.get("class")))
    return found


def test_a_small_graph_in_both_languages():
    model = mlp()
    graph = tx.graph((model(tx.ones((5, 4))) * 2).sum(), model)
    assert graph.mermaid.startswith("""flowchart TD
  n0["data (5, 4)"]:::data
  n1["linear (5, 8)<br/>0.weight (8, 4)<br/>0.bias (8,)"]
  n2["relu (5, 8)"]
  n3["linear (5, 3)<br/>2.weight (3, 8)<br/>2.bias (3,)"]
  n4["multiply (5, 3)"]
  n5["sum ()"]:::loss
  n0 --> n1
  n1 --> n2
  n2 --> n3
  n3 --> n4
  n4 --> n5
  classDef""")
    assert (
        graph.dot
        == r"""digraph {
  node [shape=box, fontname="monospace", style="rounded,filled"];
  n0 [label="data (5, 4)\l", fillcolor="#f2f2f2"];
  n1 [label="linear (5, 8)\l0.weight (8, 4)\l0.bias (8,)\l", fillcolor="#ffffff"];
  n2 [label="relu (5, 8)\l", fillcolor="#ffffff"];
  n3 [label="linear (5, 3)\l2.weight (3, 8)\l2.bias (3,)\l", fillcolor="#ffffff"];
  n4 [label="multiply (5, 3)\l", fillcolor="#ffffff"];
  n5 [label="sum ()\l", fillcolor="#fff2b3"];
  n0 -> n1;
  n1 -> n2;
  n2 -> n3;
  n3 -> n4;
  n4 -> n5;
}
"""
    )
    assert repr(graph) == "Graph(6 boxes, 0 cut; .svg, .mermaid, .dot, .save())"


@pytest.mark.parametrize("fold", [True, False])
def test_boxes_stand_apart_and_below_what_they_were_computed_from(fold):
    model, loss = gpt()
    svg = tx.graph(loss, model, fold=fold).svg
    found = boxes(svg)
    for i, (_, a, (left, top, right, bottom)) in enumerate(found):
        assert right - left > 6.5 * max(map(len, a))  # the text fits
        for _, b, (x0, y0, x1, y1) in found[i + 1 :]:
            assert right <= x0 or x1 <= left or bottom <= y0 or y1 <= top, (a, b)
    places = [place for _, _, place in found]
    for (x, y), (u, v), _ in paths(svg):
        source = [p for p in places if p[0] <= x <= p[2] and abs(p[3] - y) < 1]
        target = [p for p in places if p[0] <= u <= p[2] and abs(p[1] - 1 - v) < 1]
        assert len(source) == len(target) == 1
        assert source[0][3] < target[0][1]


def test_blocks_alike_are_drawn_once():
    model, loss = gpt()
    whole, folded = tx.graph(loss, model, fold=False), tx.graph(loss, model)
    names = {name for name, _ in model.named_parameters() if name != "head.weight"}

    def seen(graph):
        return {n for n, _ in model.named_parameters() if f"{n} (" in graph.mermaid}

    assert seen(whole) == names
    assert seen(folded) == {n for n in names if not re.match(r"blocks\.[123]", n)}
    block = sum("blocks.0." in line for line in whole.mermaid.splitlines())
    assert block == 6 == sum("blocks.0." in line for line in folded.mermaid.splitlines())
    assert 'subgraph f0["blocks.0 ... blocks.3, x4"]' in folded.mermaid
    assert 'label="blocks.0 ... blocks.3, x4";' in folded.dot
    assert ">blocks.0 ... blocks.3, x4</text>" in folded.svg
    inside = folded.mermaid.split("subgraph")[1].split("end\n")[0].count("[")
    rest = len(boxes(folded.svg)) - (inside - 1)  # but for the title's bracket
    assert len(boxes(whole.svg)) == rest + 4 * (inside - 1)
    twelve, loss = gpt(12)
    assert len(boxes(tx.graph(loss, twelve).svg)) == len(boxes(folded.svg))


def test_blocks_that_differ_are_not_folded():
    model = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 5)])
    x = tx.ones((2, 3))
    for layer in model:
        x = tx.tanh(layer(x))
    assert "subgraph" not in tx.graph(x.sum(), model).mermaid


def blocks(*kinds):
    """Linear layers in a list, each with what a kind makes of its result and its input."""
    layers = nn.ModuleList(nn.Linear(3, 3) for _ in kinds)
    history = [nn.Parameter([[1.0, 2.0, 3.0]]) * 1.0]
    with tx.doctor.watch():
        for layer, kind in zip(layers, kinds, strict=True):
            history.append(kind(layer(history[-1]), history))
        loss = history[-1].sum()
    return layers, loss


def test_blocks_linked_otherwise_are_not_folded():
    plain = lambda h, past: past[-1] + tx.tanh(h)  # noqa: E731
    other = lambda h, past: h + tx.tanh(h)  # noqa: E731
    older = lambda h, past: past[0] + tx.tanh(h)  # noqa: E731
    for kinds, folded in (
        ((plain, plain, plain), True),
        ((other, other), True),
        ((plain, other), False),
        ((plain, plain, older), False),
        ((older, older, older), False),  # the first begins with what the others look back at
    ):
        layers, loss = blocks(*kinds)
        assert ("subgraph" in tx.graph(loss, layers).mermaid) is folded


def test_a_decoder_is_folded_too_whose_blocks_all_look_at_one_memory():
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 3)
    memory = nn.Linear(8, 8)(tx.ones((2, 5, 8)))
    graph = tx.graph(decoder(tx.ones((2, 4, 8)), memory).sum(), decoder)
    assert 'subgraph f0["layers.0 ... layers.2, x3"]' in graph.mermaid


def test_a_cut_among_blocks_is_never_folded_away():
    plain = lambda h, past: past[-1] + tx.tanh(h)  # noqa: E731
    cut = lambda h, past: past[-1].detach() + tx.tanh(h)  # noqa: E731
    for kinds in ((plain, plain, cut, plain), (cut, cut, cut)):
        layers, loss = blocks(*kinds)
        pictures = [tx.graph(loss, layers, fold=fold).mermaid for fold in (True, False)]
        assert pictures[0] == pictures[1]
        assert pictures[0].count("detach() at") == sum(kind is cut for kind in kinds)


def test_a_value_that_many_use_keeps_one_place_free_on_a_rank():
    """One for each use would be a quarter of a million."""
    w = nn.Parameter([[0.5]])
    turned = w.mT
    x = tx.ones((1, 1))
    for _ in range(700):
        x = x @ turned
    graph = tx.graph(x.sum())
    ranks = layout._ranks(graph.drawing)
    layout._chains(graph.drawing, ranks)  # adds the places kept free
    assert 2 * 700 <= len(ranks) <= 2 * 702
    assert len(boxes(graph.svg)) > 700


def test_a_frame_holds_its_boxes_alone():
    model, loss = gpt()
    svg = tx.graph(loss, model).svg
    frame = next(
        g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if g.get("class") == "frame"
    )
    rect = frame.find(f"{SVG}rect")
    x, y, w, h = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
    for _, lines, (left, top, right, bottom) in boxes(svg):
        inside = x <= left and right <= x + w and y <= top and bottom <= y + h
        outside = right <= x or x + w <= left or bottom <= y or y + h <= top
        assert inside != outside, lines
        if any("blocks.0" in line for line in lines):
            assert inside


class Cut(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = tx.tanh(self.a(x))
        k = self.b(h).detach()  # CUT
        return self.c(h + k)


@pytest.mark.parametrize("after", [False, True])
def test_a_cut_is_red_and_says_where(after):
    model = Cut()
    with tx.doctor.watch():
        loss = model(tx.ones((5, 4))).sum()
    if after:
        loss.backward()  # which uses up what the tape knows of shapes
    graph = tx.graph(loss, model)
    where = f"detach() at {_shown()}:{here(__file__, '# CUT')}"
    tree = ElementTree.fromstring(graph.svg)
    (arrow,) = (path for path in tree.iter(f"{SVG}path") if path.get("class") == "cut")
    assert arrow.get("stroke") == "#c62828" and arrow.find(f"{SVG}title").text == where
    kinds = {lines[0]: kind for kind, lines, _ in boxes(graph.svg)}
    assert ("severed", ["linear (5, 4)", "b.weight (4, 4)", "b.bias (4,)"]) in [
        (kind, lines) for kind, lines, _ in boxes(graph.svg)
    ]
    assert kinds["tanh (5, 4)"] == "op"
    assert f'-. "{where}" .->' in graph.mermaid and "linkStyle" in graph.mermaid
    assert f'[color="#c62828", style=dashed, label="{where}"]' in graph.dot


def _shown():
    from tinyxp.debug.sites import Site

    return str(Site(__file__, 0, "")).removesuffix(":0")


def test_a_parameter_that_is_cut_off_at_once():
    w, v = nn.Parameter([1.0]), nn.Parameter([2.0])
    with tx.doctor.watch() as watch:
        loss = (w.detach() * v).sum()
    found = boxes(tx.graph(loss, watch=watch).svg)
    assert ("severed", ["w (1,)"]) in [(kind, lines) for kind, lines, _ in found]


def test_what_was_cut_off_is_not_drawn_as_data_too():
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    with tx.doctor.watch():
        loss = second(tx.tensor(2 * first(tx.ones((4, 2))).array)).sum()
    names = [lines[0] for _, lines, _ in boxes(tx.graph(loss).svg)]
    assert names == ["data (4, 2)", "linear (4, 3)", "linear (4, 1)", "sum ()"]


def test_names_come_from_the_callers_variables():
    net = mlp()
    scale = nn.Parameter([2.0])
    text = tx.graph((net(tx.ones((1, 4))) * scale).sum()).mermaid
    assert "0.weight (8, 4)" in text and "scale (1,)" in text
    assert len(net) == 3


def test_nodes_that_only_hand_on_are_left_out():
    model = mlp()
    model[0].register_full_backward_hook(lambda *_: None)
    a, b = tx.unstack(model(tx.ones((2, 4), dtype=tx.float32)))
    names = [lines[0] for _, lines, _ in boxes(tx.graph((a * b).sum(), model).svg)]
    assert names == ["data (2, 4)", "linear (2, 8)", "relu (2, 8)", "linear (2, 3)", "unstack (3,)",
                     "multiply (3,)", "sum ()"]  # fmt: skip


def test_names_with_signs_are_escaped():
    holder = nn.ParameterDict({'<&">': nn.Parameter([1.0])})
    holder["bell\x07"] = nn.Parameter([2.0])
    graph = tx.graph((holder['<&">'] * holder["bell\x07"]).sum(), holder)
    assert boxes(graph.svg)[0][1][1:] == ['<&"> (1,)', "bell? (1,)"]
    assert "#quot;" in graph.mermaid and '\\"' in graph.dot


def test_files_and_notebooks(tmp_path):
    graph = tx.graph(F.relu(nn.Parameter([1.0])).sum())
    for name in ("a.svg", "a.mmd", "a.dot"):
        graph.save(tmp_path / name)
    assert (tmp_path / "a.svg").read_text() == graph.svg == graph._repr_svg_()
    assert (tmp_path / "a.mmd").read_text() == graph.mermaid
    assert (tmp_path / "a.dot").read_text() == graph.dot
    with pytest.raises(ArgumentError, match=r"expected a file .svg, .mmd or .dot, got .*a.png"):
        graph.save(tmp_path / "a.png")


def test_what_has_no_graph():
    with pytest.raises(GradientError, match="this tensor has no graph"):
        tx.graph(tx.ones(3))
    with pytest.raises(GradientError, match="argmax is not differentiable"):
        tx.graph(tx.argmax(nn.Parameter([1.0, 2.0])))
    with pytest.raises(DTypeError, match="graph expects a Tensor, got int"):
        tx.graph(3)


def test_a_deep_graph_is_drawn_without_recursion():
    x = nn.Parameter([1.0])
    y = x
    for _ in range(3000):
        y = y * 1.0
    svg = tx.graph(y.sum()).svg
    bottoms = [place[3] for _, _, place in boxes(svg)]
    assert len(bottoms) == 3001
    assert all(b > a for a, b in pairwise(bottoms))
    assert math.isfinite(bottoms[-1])


def test_the_same_picture_in_every_run():
    model = mlp()
    first, second = (tx.graph(model(tx.ones((5, 4))).sum(), model) for _ in range(2))
    assert first.svg == second.svg
    assert first.dot == second.dot
