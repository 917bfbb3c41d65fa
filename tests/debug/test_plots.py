"""Pictures: what is on them, in letters and in pixels."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyxp as tx
from tinyxp.errors import ArgumentError, BackendError, DataError, ShapeError
from tinyxp.plots import Boundary, Curves, Images, show
from tinyxp.plots.picture import COLOURS, plain
from tinyxp.random import Generator


@pytest.fixture
def drawn(tmp_path):
    """``drawn(picture)``: the pixels of its PNG, (height, width, 3) in [0, 1]."""
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")

    def draw(picture):
        picture.save(tmp_path / "picture.png")
        return image.imread(tmp_path / "picture.png")[..., :3]

    return draw


def near(pixels, colour):
    """Which pixels have about the colour '#rrggbb' or (r, g, b)."""
    if isinstance(colour, str):
        colour = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.abs(pixels - np.asarray(colour)).max(axis=-1) < 0.03


def pale(colour):
    return [1 - 0.3 * (1 - int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5)]


def centre(mask):
    """Where the pixels of a mask are on average: (x, y), y from the top."""
    rows, columns = np.nonzero(mask)
    assert len(rows), "no such pixel"
    return columns.mean(), rows.mean()


# -- curves -------------------------------------------------------------------------------------

FALLING = [(step, 4 - step / 25) for step in range(101)]
FLAT = [(step, 2.0) for step in range(101)]


def test_curves_in_letters():
    text = Curves(
        {"training": FALLING, "control": FLAT, "rare": [(0, 1.0), (100, 3)]}, "both"
    ).text(9)
    assert text == "\n".join(
        [
            "both",
            "loss",
            "4 +aaaaa",
            "  |     aaaaaaaa",
            "  |             aaaaaaaa                                             c",
            "  |                     aaaaaaaa",
            "2 +bbbbbbbbbbbbbbbbbbbbbbbbbbbbb*********bbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "  |                                      aaaaaaaa",
            "  |c                                             aaaaaaaa",
            "  |                                                      aaaaaaaa",
            "0 +                                                              aaaaa",
            "  ++------------+------------+-------------+------------+------------+",
            "   0           20           40            60           80          100",
            "                                                                  step",
            "a: training   b: control   c: rare   *: several",
        ]
    )


def test_a_logarithm_makes_a_power_a_line():
    points = [(i, 10.0**-i) for i in range(9)]
    lines = Curves({"x": points}, "power", log=True).text(height=9).splitlines()
    assert lines[1] == "loss, log scale"
    columns = [line.index("a") for line in lines[2:11]]
    steps = np.diff(columns)
    assert steps.min() >= steps.max() - 1 > 0
    assert lines[10].startswith("1e-08 +")


def test_numbers_on_the_axes_are_round_and_in_order():
    for low, high in ((0.3, 0.41), (-7, 12_345), (1e6, 1e6 + 3), (-1e-5, 2e-5), (5, 5)):
        text = Curves({"x": [(0, low), (1, high)]}, "").text()
        numbers = [float(line.split()[0]) for line in text.splitlines()[2:18] if " +" in line]
        assert len(numbers) >= 2
        assert numbers == sorted(set(numbers), reverse=True)
        steps = -np.diff(numbers)
        assert np.allclose(steps, steps[0])
        assert f"{steps[0]:.0e}"[0] in "125"


def test_what_cannot_be_drawn_is_counted():
    points = [(0, 1.0), (1, math.nan), (2, math.inf), (3, -2.0)]
    assert "a: loss (2 of 4 not finite)" in Curves({"loss": points}, "").text()
    assert "a: loss (3 of 4 not above 0)" in Curves({"loss": points}, "", log=True).text()
    assert Curves({"loss": [(0, math.nan)]}, "bad").text() == (
        "bad\n(no points)\na: loss (1 of 1 not finite)"
    )
    assert Curves({}, "empty").text() == "empty\n(no points)"


points = st.lists(st.tuples(st.floats(), st.floats()), max_size=9)


@given(
    st.dictionaries(st.text(max_size=30), points, max_size=9),
    st.text(max_size=99),
    st.booleans(),
)  # fmt: skip
def test_any_curves_can_be_printed(series, title, log):
    text = Curves(series, title, log=log).text()
    assert text.isascii()
    assert max(map(len, text.split("\n"))) <= 79
    assert all(c == "\n" or c.isprintable() for c in text)


def test_curves_in_pixels(drawn):
    pixels = drawn(Curves({"up": [(0, 0), (1, 1)], "down": [(0, 1), (1, 0)]}, "cross"))
    height, width = pixels.shape[:2]
    upper = pixels[: height // 3]  # without the legend
    lower = pixels[height // 2 : 2 * height // 3]
    assert centre(near(upper, COLOURS[0]))[0] > width / 2 > centre(near(upper, COLOURS[1]))[0]
    assert centre(near(lower, COLOURS[0]))[0] < width / 2 < centre(near(lower, COLOURS[1]))[0]


def test_odd_curves_in_pixels(drawn):
    blue = COLOURS[0]
    few = near(drawn(Curves({"$x$ or $": [(0, 1), (1, math.nan), (2, 3)]}, "cost in $ of $")), blue)
    none = near(drawn(Curves({"nothing": []}, "", log=True)), blue)
    logs = drawn(Curves({"e": [(i, math.exp(-i)) for i in range(50)]}, "", log=True))
    assert few.sum() > 5 * none.sum()
    # a straight line: the mean height halfway is halfway
    rows, columns = np.nonzero(near(logs[:380], blue))
    middle = rows[np.abs(columns - columns.mean()) < 5].mean()
    assert abs(middle - (rows.min() + rows.max()) / 2) < 5


# -- boundary -----------------------------------------------------------------------------------

CORNERS = (np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.asarray([0, 1, 1, 0]))


def right_half(points):
    return points[:, 0] - 0.5


def test_a_boundary_in_letters():
    assert Boundary(right_half, *CORNERS, "half").text(columns=21, rows=7) == "\n".join(
        [
            "half",
            "  |           ..........",
            "1 +  #        .......o..",
            "  |           ..........",
            "  |           ..........",
            "  |           ..........",
            "0 +  o        .......#..",
            "  |           ..........",
            "  +--+---------------+--",
            "     0               1",
            "o: class 0   #: class 1   dotted: called 1   wrong: 2 of 4 points",
        ]
    )


def test_a_boundary_in_pixels(drawn):
    pixels = drawn(Boundary(right_half, *CORNERS, "half"))
    height, width = pixels.shape[:2]
    pixels = pixels[: int(0.8 * height)]  # without the legend
    zero, one = near(pixels, pale(COLOURS[0])), near(pixels, pale(COLOURS[1]))
    assert abs(zero.sum() / one.sum() - 1) < 0.05
    # all but the edges of a few points, which are a mixture
    assert np.quantile(np.nonzero(zero)[1], 0.99) < np.quantile(np.nonzero(one)[1], 0.01)
    # the points of class 1 lie top left and bottom right, those of class 0 on the other diagonal
    half, middle = width // 2, height // 2
    for colour, sign in ((COLOURS[0], -1), (COLOURS[1], 1)):
        points = near(pixels, colour)
        diagonal = points[:middle, :half].sum() + points[middle:, half:].sum()
        assert sign * (2 * diagonal - points.sum()) == points.sum() > 100


def test_above_is_above(drawn):
    pixels = drawn(Boundary(lambda points: points[:, 1] - 0.5, *CORNERS, "upper half"))
    pixels = pixels[: int(0.8 * len(pixels))]
    zero, one = (np.nonzero(near(pixels, pale(colour)))[0] for colour in COLOURS[:2])
    assert np.quantile(one, 0.99) < np.quantile(zero, 0.01)  # rows count from the top


def test_a_model_is_asked_for_its_side():
    x, y = tx.data.two_clouds(200, Generator(1))
    for sign, wrong in ((1, 0), (-1, 200)):

        def ask(points, sign=sign):
            assert points.dtype == np.float32
            return (sign * (tx.asarray(points) @ tx.asarray([0.6, 0.8]) - 1)).numpy()

        text = Boundary(ask, x.numpy(), y.numpy(), "clouds").text()
        assert f"wrong: {wrong} of 200 points" in text
        corner = text.splitlines()[1 if sign > 0 else 24]
        assert corner.endswith("....")


def test_a_boundary_of_nothing_and_of_nan(drawn):
    def nan(points):
        return np.where(points[:, 0] > 0.5, np.nan, 1.0)

    none = Boundary(nan, np.zeros((0, 2)), np.zeros(0), "none")
    body = none.text(columns=10, rows=4).splitlines()[1:5]
    assert all(line.endswith(".....?????") for line in body)
    pixels = drawn(none)
    assert near(pixels, [0.8] * 3).sum() > 10_000
    lost = Boundary(nan, np.asarray([[np.nan, 0], [0.0, 0]]), np.asarray([0, 1]), "lost")
    assert "wrong: 0 of 1 points" in lost.text()
    one_sided = Boundary(lambda p: np.ones(len(p)), *CORNERS, "all")
    assert near(drawn(one_sided), pale(COLOURS[0])).sum() < 100


@given(points)
def test_any_points_can_be_printed(some):
    x = np.asarray(some, dtype=np.float64).reshape(-1, 2)
    text = Boundary(right_half, x, np.arange(len(x)) % 2, "any").text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 79
    drawn = (np.abs(x) < 1e30).all(axis=1)
    assert f"of {drawn.sum()} points" in lines[-1]
    shown = sum(line.count("o") + line.count("#") for line in lines[1:25])
    assert min(1, drawn.sum()) <= shown <= drawn.sum()


def test_a_boundary_says_what_it_expects():
    x, y = CORNERS
    with pytest.raises(ShapeError, match=r"points \(n, 2\) .* got shapes \(2, 4\) and \(4,\)"):
        Boundary(right_half, x.T, y, "")
    with pytest.raises(ArgumentError, match=r"classes 0 and 1, got \[-1, 0, 1\]"):
        Boundary(right_half, x, np.asarray([0, 1, -1, 0]), "")
    with pytest.raises(
        ShapeError, match=r"ask to return scores \(\d+,\) .* got the shape \(\d+, 2\)"
    ):
        Boundary(lambda points: points, x, y, "").text()


# -- images -------------------------------------------------------------------------------------


def test_digits_in_letters():
    images, labels = tx.data.load_digits()[1].tensors
    some = images.numpy()[3:5, 0]
    assert labels[3:5].tolist() == [1, 5]
    assert Images(some, ["a one", "a five"], "two digits").text() == "\n".join(
        [
            "two digits",
            "      @@**            **@@@@@@++",
            "      @@@@          ::@@%%++++..",
            "      @@%%          ::##",
            "    ..@@%%          --@@@@..",
            "      @@@@          ..****##",
            "      %%%%              ..@@",
            "      %%**          ..##++@@",
            "      ##**            **@@++",
            "a one             a five",
        ]
    )


def test_images_fill_a_terminal_and_no_more():
    for n, h, w in ((20, 3, 3), (5, 28, 28), (3, 64, 64), (1, 1, 300), (2, 300, 1), (0, 8, 8)):
        images = np.random.default_rng(0).normal(size=(n, h, w))
        text = Images(images, [f"number {i} größer" for i in range(n)], "many").text()
        lines = text.splitlines()
        assert text.isascii()
        assert max(map(len, lines)) <= 79
        assert sum(line.count("number") for line in lines) == n
    assert text == "many\n(no images)"


@given(st.lists(st.lists(st.floats(), min_size=4, max_size=4), min_size=1, max_size=3))
def test_any_images_can_be_printed(rows):
    images = np.asarray(rows).reshape(-1, 2, 2)
    lines = Images(images, ["x"] * len(images), "").text().splitlines()
    holes = sum(line.count("?") for line in lines)
    assert holes == 4 * 8 * (~np.isfinite(images)).sum()  # a pixel is 8 letters wide and 4 high
    # the highest of each is darkest, unless all are one
    for i, image in enumerate(images):
        found = image[np.isfinite(image)]
        shown = "".join(line.ljust(79)[18 * i : 18 * i + 16] for line in lines[1:9])
        if len(found) and found.max() / 2 - found.min() / 2 > 1e-9 * np.abs(found).max():
            assert "@" in shown and " " in shown
        elif (found == found[:1]).all():
            assert set(shown) <= {" ", "?"}


def test_a_large_image_is_averaged_in_its_proportions():
    image = np.zeros((1, 28, 28))
    image[:, :14, 14:] = 1.0
    assert Images(image, ["a quarter"], "").text().splitlines()[1:] == (
        [" " * 14 + "@" * 14] * 7 + [""] * 7 + ["a quarter"]
    )


def test_missing_values_in_images(drawn):
    image = np.asarray([[[0.0, np.nan], [np.inf, 1.0]]])
    assert Images(image, ["holes"], "").text().splitlines()[4:6] == [" " * 8 + "?" * 8] * 1 + [
        "?" * 8 + "@" * 8
    ]
    empty = Images(np.full((2, 2, 2), np.nan), ["a", "b"], "")
    assert "?" * 16 in empty.text()
    assert drawn(empty).min() < 0.5  # the captions


def test_images_in_pixels(drawn):
    quarter = np.asarray([[[1.0, 0.0], [0.0, 0.0]]])
    pixels = drawn(Images(quarter.repeat(2, axis=0), ["$", ""], "black"))
    dark = near(pixels, [0, 0, 0])
    assert dark.mean() > 0.05
    signed = drawn(Images(quarter - quarter[:, ::-1], ["signed"], "colours"))
    red, blue = near(signed, "#67001f"), near(signed, "#053061")
    (x, y), (x2, y2) = centre(red), centre(blue)
    assert red.sum() == blue.sum() > 500
    assert abs(x - x2) < 2 and y < y2  # red above, as the first row is


def test_images_say_what_they_expect():
    with pytest.raises(ShapeError, match=r"images \(n, h, w\), got the shape \(2, 2\)"):
        Images(np.zeros((2, 2)), ["", ""], "")
    with pytest.raises(ArgumentError, match="each of 2 images, .* got 1 captions"):
        Images(np.zeros((2, 2, 2)), [""], "")


# -- show ---------------------------------------------------------------------------------------

PICTURE = Curves({"größe": FALLING}, "Verlust über die Zeit")


def test_show_saves_where_it_can(tmp_path, capsys, drawn):
    path = tmp_path / "loss.png"
    assert show(PICTURE, path) == path
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert capsys.readouterr().out == f"picture: {path}\n"
    PICTURE.save(tmp_path / "loss.svg")
    assert "<svg" in (tmp_path / "loss.svg").read_text(encoding="utf-8")


def test_show_prints_without_a_path_or_without_matplotlib(tmp_path, capsys, monkeypatch):
    for path in (None, tmp_path / "loss.png"):
        assert show(PICTURE, path) is None
        assert capsys.readouterr().out == PICTURE.text() + "\n"
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not list(tmp_path.iterdir())
    with pytest.raises(BackendError, match="matplotlib is not installed; pip install matplotlib"):
        PICTURE.save(tmp_path / "loss.png")


def test_a_picture_that_cannot_be_saved(tmp_path, drawn):
    with pytest.raises(ArgumentError, match="ends with .png, .svg, .pdf, got .*loss.txt"):
        show(PICTURE, tmp_path / "loss.txt")
    with pytest.raises(DataError, match="cannot write .*No such file"):
        show(PICTURE, tmp_path / "no" / "loss.png")


def test_pictures_leave_matplotlib_as_it_was(drawn):
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawn(PICTURE)
    assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_plain_is_one_line_of_ascii():
    assert plain("a\tb\r\nö\x1b[31m") == "a b  ? [31m"


# -- in a notebook ------------------------------------------------------------------------------


def pictures():
    return [
        Curves({"training": FALLING}, "falling"),
        Boundary(lambda p: p[:, 0], np.eye(2), np.asarray([0, 1]), "a line"),
        Images(np.ones((2, 3, 3)), ["a", "b"], "two", ticks="xyz"),
    ]


@pytest.mark.parametrize("picture", pictures(), ids=lambda p: type(p).__name__)
def test_a_picture_shows_itself_and_not_its_numbers(picture):
    assert (
        repr(picture) == f"{type(picture).__name__}({picture.title!r}; print(.text()), .save(path))"
    )
    shown = picture._repr_png_()
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert shown is None
    else:
        assert shown.startswith(b"\x89PNG")


def test_ticks_name_rows_and_columns():
    image = Images(np.eye(3)[None], ["a head"], "attention", ticks=["a", "\n", "$"])
    assert image.text().splitlines()[-1] == "rows and columns: a $"
    with pytest.raises(ArgumentError, match="a tick for each row and column"):
        Images(np.eye(3)[None], ["a head"], "attention", ticks=["a", "b"])
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    axes = image.figure().axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "\n", "$"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "\n", "$"]


def test_a_letter_that_no_font_has_warns_nobody(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    name = "\u5b9f\u9a13 \U0001f600 \u1000"
    Curves({name: FALLING}, name, xlabel=name).save(tmp_path / "a.png")
    Images(np.ones((1, 3, 3)), [name], name).save(tmp_path / "b.svg")


def test_a_summary_is_a_table_in_a_notebook_too():
    found = tx.nn.summary(tx.nn.Linear(2, 3))
    assert repr(found) == str(found) == f"{found}"
    assert isinstance(found, str) and found.splitlines()[0].split() == [
        "module",
        "kind",
        "parameters",
    ]
