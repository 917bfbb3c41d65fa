"""A drawing as text for other programs: Mermaid and DOT."""

from tinyxp.debug.pictures.drawing import Box, Drawing

FILLS = {"op": "#ffffff", "loss": "#fff2b3", "data": "#f2f2f2", "severed": "#fdeaea"}
STROKES = {"op": "#3c4654", "loss": "#8a6d00", "data": "#9aa3ad", "severed": "#c62828"}
RED = STROKES["severed"]


def mermaid(drawing: Drawing) -> str:
    """A Mermaid flowchart, which GitHub and many notebooks show as a picture."""
    lines = ["flowchart TD"]
    framed = {key: frame for frame in drawing.frames for key in frame.keys}

    def node(box: Box) -> str:
        text = "<br/>".join(map(_quote, box.lines()))
        kind = "" if box.kind == "op" else f":::{box.kind}"
        return f'{box.key}["{text}"]{kind}'

    for i, frame in enumerate(drawing.frames):
        inside = [f"    {node(drawing.boxes[key])}" for key in frame.keys]
        lines += [f'  subgraph f{i}["{_quote(frame.title)}"]', *inside, "  end"]
    lines += [f"  {node(box)}" for key, box in drawing.boxes.items() if key not in framed]
    for arrow in drawing.arrows:
        label = _quote(arrow.cut)
        line = f'-. "{label}" .->' if arrow.cut else "-->"
        lines.append(f"  {arrow.source} {line} {arrow.target}")
    cuts = [str(i) for i, arrow in enumerate(drawing.arrows) if arrow.cut]
    if cuts:
        lines.append(f"  linkStyle {','.join(cuts)} stroke:{RED},color:{RED}")
    for kind in ("loss", "data", "severed"):
        lines.append(f"  classDef {kind} fill:{FILLS[kind]},stroke:{STROKES[kind]}")
    return "\n".join(lines) + "\n"


def dot(drawing: Drawing) -> str:
    """A digraph in the language of Graphviz."""
    lines = ["digraph {", '  node [shape=box, fontname="monospace", style="rounded,filled"];']
    framed = {key: frame for frame in drawing.frames for key in frame.keys}

    def node(box: Box) -> str:
        text = "".join(f"{_escape(line)}\\l" for line in box.lines())
        return f'{box.key} [label="{text}", fillcolor="{FILLS[box.kind]}"];'

    for i, frame in enumerate(drawing.frames):
        inside = [f"    {node(drawing.boxes[key])}" for key in frame.keys]
        lines += [f"  subgraph cluster_{i} {{", f'    label="{_escape(frame.title)}";', *inside]
        lines.append("  }")
    lines += [f"  {node(box)}" for key, box in drawing.boxes.items() if key not in framed]
    for arrow in drawing.arrows:
        style = f' [color="{RED}", style=dashed, label="{_escape(arrow.cut)}"]'
        lines.append(f"  {arrow.source} -> {arrow.target}{style if arrow.cut else ''};")
    return "\n".join([*lines, "}"]) + "\n"


def _quote(text: str) -> str:
    return text.replace('"', "#quot;")


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
