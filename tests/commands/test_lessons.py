"""The scripts of the course run and print what they claim; the checkers find students' mistakes.

A wrong solution is a right one with one change (tests/lessons/wrong.py), so that the hint must be
about that change.
"""

import math
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.lessons.wrong import WRONG
from tinyxp.commands import main
from tinyxp.lessons.student import all_points, examine
from tinyxp.lessons.verdict import LESSONS, check, load_lesson

HERE = Path(__file__).parents[1] / "lessons"
RIGHT = {name: HERE / f"{name}.py" for name in LESSONS}


@pytest.fixture(autouse=True)
def unloaded(monkeypatch):
    """After each test, forget the module "student" and the folder on the path."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("student", None)


def outcomes_of(lesson, path):
    return examine(load_lesson(lesson), path)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_right_solution_passes(lesson):
    states = [(str(outcome), outcome.state) for outcome in outcomes_of(lesson, RIGHT[lesson])]
    assert len(states) >= 5
    assert all(state == "ok" for _, state in states), states


@pytest.mark.parametrize(
    ("lesson", "right", "wrong", "hint"), WRONG, ids=[f"{w[0]}-{w[3][:30]}" for w in WRONG]
)
def test_a_wrong_solution_gets_the_right_hint(lesson, right, wrong, hint, tmp_path):
    source = RIGHT[lesson].read_text("utf-8")
    assert source.count(right) >= 1, "the right solution has no such line"
    file = tmp_path / "mine.py"
    file.write_text(source.replace(right, wrong), "utf-8")
    outcomes = outcomes_of(lesson, file)
    failed = [outcome for outcome in outcomes if outcome.state == "not ok"]
    assert len(failed) == 1, "\n".join(map(str, failed))
    assert " ".join(hint.split()) in " ".join(str(failed[0]).split()), str(failed[0])


def test_every_lesson_has_typical_mistakes():
    counts = Counter(lesson for lesson, *_ in WRONG)
    assert all(counts[lesson] >= 4 for lesson in LESSONS)


# -- broken files ------------------------------------------------------------------------

BROKEN = {
    "def f(:\n": ("SyntaxError", "line 1"),
    "def f():\nreturn 1\n": ("IndentationError", "indent by four spaces"),
    "import nowhere\n": ("No module named 'nowhere'", "line 1"),
    "import sys\nsys.exit(0)\n": ("SystemExit", "if __name__ == '__main__':"),
    "name = input('who? ')\n": ("EOFError", "input() waits for a keyboard"),
    "1 / 0\n": ("ZeroDivisionError", "line 1: 1 / 0"),
    "import os\nos._exit(0)\n": ("ended there, with exit code 0", "os._exit() ends Python"),
    "import os\nos.kill(os.getpid(), 9)\n": ("a signal ended the program: Killed", "all memory"),
    "raise KeyboardInterrupt\n": ("KeyboardInterrupt", "the code raises this itself"),
    "while True:\n    pass\n": ("it was still running after 3 s, at line", "an endless loop?"),
}


@pytest.mark.parametrize("source", BROKEN, ids=[words[0][:20] for words in BROKEN.values()])
def test_a_broken_file_is_explained(source, tmp_path):
    file = tmp_path / "my file.py"
    file.write_text(source, "utf-8")
    verdict = check("lesson1", file, limit=3)
    assert not verdict.passed
    assert verdict.outcomes[0].state == "not ok"
    assert all(words in str(verdict.outcomes[0]) for words in BROKEN[source]), str(verdict)


SLIPS = {
    "": "no such name in your file",
    "Standardize = lambda x: x\n": "you have Standardize: capitals count",
    "standardize = 3\n": "a value, not a function",
    "def standardize(x, axis): return x\n": "standardize(x, axis)",
    "def standardize(x): x + 1\n": "None (nothing was returned)",
    "def standardize(x): return 'done'\n": "str 'done'",
    "def standardize(x): return standardize(x)\n": "calls itself without end",
    "def standardize(x): return x[9]\n": "(line 1: def standardize(x): return x[9])",
}


@pytest.mark.parametrize("source", SLIPS)
def test_a_missing_or_wrong_function_is_explained(source, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(source, "utf-8")
    outcomes = outcomes_of("lesson1", file)
    assert outcomes[0].state == "ok"
    first = next(outcome for outcome in outcomes if outcome.state == "not ok")
    assert first.title.startswith("standardize")
    assert SLIPS[source] in str(first), str(first)
    assert outcomes[3].state == "later"


def test_a_rule_that_never_ends_is_stopped_on_xor(tmp_path):
    source = RIGHT["lesson3"].read_text("utf-8").replace("for _ in range(100):", "while True:")
    file = tmp_path / "mine.py"
    file.write_text(source, "utf-8")
    verdict = check("lesson3", file, limit=3)
    assert [outcome.state for outcome in verdict.outcomes] == ["ok"] * 6 + ["not ok"]
    assert "ends on XOR" in verdict.outcomes[-1].title
    assert "it was still running after 3 s" in verdict.outcomes[-1].got


def test_the_points_after_an_endless_loop_are_checked(tmp_path):
    source = RIGHT["lesson1"].read_text("utf-8")
    source = source.replace("def standardize(x):", "def standardize(x):\n    while True: pass")
    source = source.replace(
        "def outer_table(a, b):", "def outer_table(a, b):\n    import os; os._exit(3)"
    )
    file = tmp_path / "mine.py"
    file.write_text("print('once')\n" + source, "utf-8")
    verdict = check("lesson1", file, limit=2)
    states = {outcome.title: outcome.state for outcome in verdict.outcomes}
    assert list(states) == [point.title for point in all_points(load_lesson("lesson1"))]
    assert (
        list(states.values())
        == ["ok", "ok", "not ok", "later", "ok", "not ok", "later"] + ["ok"] * 3
    )
    assert verdict.printed == "once\n"
    assert "ended there, with exit code 3" in str(verdict)


def test_the_inputs_of_a_failed_call_are_shown(tmp_path):
    file = tmp_path / "mine.py"
    source = (
        RIGHT["lesson1"]
        .read_text("utf-8")
        .replace("def outer_table(a, b):", "def outer_table(a, b):\n    return a[:, None] + b")
    )
    file.write_text(source, "utf-8")
    (failed,) = (o for o in outcomes_of("lesson1", file) if o.state == "not ok")
    assert "called:   outer_table([1., 2., 3.], [2., 3., 4.])" in str(failed)
    assert "a a " not in str(failed)


STUBS = (
    "def standardize(x): return x\ndef outer_table(a, b): return a\ndef distances(a, b): return a\n"
)
FRAME = "import sys\ndef standardize(x): sys._getframe(2).f_globals['compare']"
REPORT = """import glob, json, os
line = json.dumps({'outcome': {'title': 'the file runs'}}) + '\\n' + json.dumps({'end': True})
[open(path, 'a').write(line) for path in glob.glob('/tmp/*/report.jsonl')]; os._exit(0)
"""
FORGED = {
    "import tinyxp.lessons.comparison as c\nc.close = print\n": "must not use the checker",
    "from tinyxp.lessons.lesson1 import LESSON\nLESSON.points.clear()": "must not use the checker",
    "import numpy as np\nnp.all = lambda *_, **__: True\n": "numpy.all was replaced",
    "import builtins\nbuiltins.bool = lambda _: True\n": "bool was replaced",
    "import tinyxp\ntinyxp.Tensor.numpy = lambda self: None\n": "Tensor.numpy was replaced",
    REPORT: "ended there, with exit code 0",
    FRAME + " = lambda *_: None\n": "compare was replaced",
    FRAME + ".__code__ = (lambda *_: 0).__code__\n": "compare was changed",
}


@pytest.mark.parametrize("source", FORGED, ids=FORGED.values())
def test_a_pass_cannot_be_forged_in_three_lines(source, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(STUBS + source, "utf-8")
    verdict = check("lesson1", file, limit=20)
    assert not verdict.passed
    assert FORGED[source] in str(verdict), str(verdict)


def test_a_result_with_its_own_arithmetic_does_not_pass(tmp_path):
    source = """
import numpy as np
import tinyxp as tx

class Yes(np.ndarray):
    def __sub__(self, other):
        return np.zeros(self.shape)
    __rsub__ = __sub__

class Sly(tx.Tensor):
    def numpy(self):
        return np.zeros((5, 3)).view(Yes)

def standardize(x):
    return np.zeros(x.shape).view(Yes)
def outer_table(a, b):
    y = a[:, None] + b
    y.__class__ = Sly if "__dict__" in dir(y) else tx.Tensor
    return y
def distances(a, b):
    return type("Any", (), {"__array__": lambda *_, **__: np.zeros((4, 3)).view(Yes)})()
"""
    file = tmp_path / "mine.py"
    file.write_text(source, "utf-8")
    outcomes = [o for o in outcomes_of("lesson1", file) if o.title.count(":") == 1]
    assert [o.state for o in outcomes if "is there" not in o.title][::2] == ["not ok"] * 3


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noisy = "print('noise', flush=True)\n" + RIGHT["lesson1"].read_text("utf-8")
    noisy += "if __name__ == '__main__':\n    raise SystemExit(7)\n"
    Path("mine.py").write_text(noisy, "utf-8")
    assert main(["check", "lesson1", "mine.py"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.startswith("lesson1: mine.py\n  ok      the file runs\n")
    assert out.endswith("10 of 10 points. Well done!\n")
    assert out.count("noise") == 1 and "your file printed:\n  | noise\n" in out

    Path("random.py").write_text("raise ImportError('not the library')", "utf-8")
    Path("wrong.py").write_text(noisy.replace("tx.sqrt", ""), "utf-8")
    assert main(["check", "lesson1", "wrong.py"]) == 1
    assert "8 of 10 points. Fix the first 'not ok' and check again.\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["lesson8", "mine.py"], "unknown lesson 'lesson8'; choose one of lesson1, lesson2"),
        (["lesson1", "absent.py"], "there is no file absent.py"),
        (["lesson1", "mine.ipynb"], "expected a Python file, got mine.ipynb"),
        (["lesson1", "mine.py", "--limit", "0"], "limit must be above 0 seconds"),
        (["lesson1", "mine.py", "--limit", "inf"], "and at most a day, got inf"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(args, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", "mine.ipynb"):
        Path(name).write_text("", "utf-8")
    assert main(["check", *args]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


# -- the lessons themselves -----------------------------------------------------------------------


def run_script(lesson):
    """The output of a script, without a terminal, in the code page of a Windows console."""
    script = next((HERE.parents[1] / "docs" / "lessons").glob(f"{lesson}_*.py"))
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    script_run = subprocess.run(
        [sys.executable, str(script)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment,
        check=False,
    )
    assert script_run.returncode == 0, script_run.stderr.decode()
    assert not script_run.stderr
    return script_run.stdout.decode("ascii")


def printed_numbers(lesson, *parts):
    """The number after each of ``parts`` in the output of a script."""
    out, numbers = run_script(lesson), []
    for part in parts:
        match = re.search(re.escape(part) + r"\D*?(-?[\d.]+\d|\d)", out)
        assert match, f"{part!r} is not in\n{out}"
        numbers.append(float(match[1]))
    return numbers


def test_lesson_1_runs():
    out = run_script("lesson1")
    assert "row 2, column 1 is 3 h 15 min: 195 minutes" in out
    assert "so each column adds up to tensor([0., 0.])" in out
    squares = [int(n) for n in re.findall(r"(?:squares|/6): +(\d+)", out)]
    assert squares[0] == pytest.approx(squares[1], rel=1e-14)
    assert squares[1] == sum(i * i for i in range(1_000_000))


def test_lesson_2_finds_one_slope_three_ways():
    ways = ("differences:", "hand:", "tape:")
    slopes = printed_numbers(
        "lesson2", *(f"dL/dw by {way}" for way in ways), "second backward():", "step 10:"
    )
    y = math.tanh(-0.5)
    assert slopes[:3] == pytest.approx([2 * (y - 1) * (1 - y * y) * 2] * 3, abs=2e-6)
    assert slopes[3] == pytest.approx(2 * slopes[0], abs=2e-6)
    assert slopes[4] < 0.02


def test_lesson_3_separates_the_clouds_and_not_xor():
    seen, new, xor = printed_numbers(
        "lesson3", "60 training points:", "500 new points:", "best round had"
    )
    assert (seen, new >= 99, xor <= 75) == (100, True, True)


def test_lesson_4_needs_the_non_linearity():
    out = run_script("lesson4")
    right = [float(found) for found in re.findall(r"new points right: ([\d.]+)%", out)]
    assert "the best gets 3 of 4 corners right" in out
    assert right[0] == 100
    assert right[1] <= 76


def test_lesson_5_is_better_than_its_control():
    before, ahead = printed_numbers("lesson5", "loss before training:", "features are ahead by")
    assert before == pytest.approx(math.log(10), abs=0.2)
    assert ahead > 3


def test_lesson_6_reads_shifted_digits():
    out = run_script("lesson6")
    assert "by hand at row 0, column 1: 27.0" in out
    assert "shifts the output down by one: True" in out
    (cnn, cnn_shifted), (mlp, mlp_shifted) = (
        [float(x) for x in re.search(rf"{name} .*?([\d.]+)% +([\d.]+)%", out).groups()]
        for name in ("CNN", "MLP")
    )
    assert cnn > 97 and mlp > 95
    assert cnn_shifted > mlp_shifted + 10


def test_lesson_7_uses_earlier_characters():
    attention, control, h2 = printed_numbers("lesson7", "with attention", ", without", "and H2 is")
    assert attention < 0.7 < h2 - 0.3
    assert control > h2 - 0.15
