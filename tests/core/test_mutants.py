"""dev.py mutants: which small bugs it makes, and that it finds what tests miss without touching the checkout."""
from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.devkit import mutations

ROOT = Path(__file__).resolve().parents[2]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="optional: a system that can fork")


def changes(text):
    """The ways a line of code is changed, as code without needless brackets."""
    source = text.encode()
    made = {ast.unparse(ast.parse(one.applied(source))) for one in mutations.mutations(source)}
    assert ast.unparse(ast.parse(source)) not in made, "each one is a change"
    return made


@pytest.mark.parametrize(("text", "some"), [
    ("q = u + v", {"q = u - v"}), ("q = u * v", {"q = u / v"}), ("q = u @ v", {"q = v @ u"}), ("q += v", {"q -= v", "pass"}),
    ("q = u < v", {"q = u <= v", "q = u > v"}), ("q = u >= v", {"q = u > v", "q = u <= v"}), ("q = u is v", {"q = u is not v"}),
    ("q = u and v", {"q = u or v"}), ("q = not u", {"q = u"}), ("q = -u", {"q = u"}), ("q = u if w else v", {"q = v if w else u"}),
    ("q = 3", {"q = 4", "q = 2"}), ("q = 0.5", {"q = 1.0"}), ("q = 0.0", {"q = 1.0"}),
    ("q = 3000", {"q = 6000", "q = 1500"}), ("q = 3001", {"q = 3002", "q = 3000"}),
    ("q = 1e-06", {"q = 0.0"}), ("q = 2e-06", {"q = 4e-06"}),
    ("q = True", {"q = False"}),
    ("q = f(u, v, w)", {"q = f(v, u, w)", "q = f(u, w, v)"}), ("q = f(u, u)", set()), ("q = f(*u, v)", set()),
    ("q = torch.minimum(u, v)", {"q = torch.maximum(u, v)"}), ("q = min(u, v)", {"q = max(u, v)"}),
    ("f(u)", {"pass"}), ("q[u] = v", {"pass"}), ("q = f(q)", {"pass"}), ("raise u", {"pass"}),
    ("q = u.amin(v)", {"q = u.amax(v)"}), ("q = f(min=v)", {"q = f(max=v)"}), ("q = min(u)", {"q = max(u)"}),
    ("if u:\n    q = v", {"if True:\n    q = v", "if False:\n    q = v"}),
    ("q = f'{u + v}'", set()), ("import u", set()), ("'a text'", set()), ("q: u = v", set()),
])
def test_each_kind_of_small_bug(text, some):
    assert changes(text) == some


def test_returned_values_and_paired_names_are_swapped_inside_functions():
    made = changes("def f(width, height):\n    return (width, q)")
    assert "def f(width, height):\n    return (q, width)" in made
    assert "def f(width, height):\n    return (height, q)" in made
    assert changes("def f(width):\n    return width") == set(), "there is no height to take for it"


def test_a_bug_knows_its_line_and_its_function():
    source = b"a = 1\n\n@d\ndef f():\n    def g():\n        return 2\n"
    places = {(one.line, one.function) for one in mutations.mutations(source)}
    assert places == {(1, 0), (6, 3)}


# --- whole runs on a pack of two functions

@pytest.fixture
def pack(tmp_path):
    files = {"caphuman_core/__init__.py": "", "caphuman_core/sums.py": "def tested(u, v):\n    return u - v\n\n\n"
             "def called(u, v):\n    return u - v\n\n\ndef forgotten(u):\n    return u + 1\n",
             "tests/core/conftest.py": "import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).parents[2]))\n",
             "tests/core/test_sums.py": "from caphuman_core import sums\n\n\ndef test_values():\n"
             "    assert sums.tested(3, 1) == 2\n    sums.called(3, 1)\n\n\n"
             "def test_elsewhere(monkeypatch, tmp_path):\n    monkeypatch.chdir(tmp_path)\n    assert sums.tested(1, 1) == 0\n"}
    for name, text in files.items():
        (tmp_path / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / name).write_text(text)
    return tmp_path / "pack"


def started(pack, *arguments):
    """The tool at work on the pack, with nothing warmed up; its temporary files lie beside the pack."""
    temporary = pack.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    code = ("import signal, sys; from tools.devkit import forks, mutants; forks.WARM = ();"
            "signal.signal(signal.SIGINT, signal.default_int_handler);"            # a shell's background jobs ignore it
            f"sys.exit(mutants.main(['--root', {str(pack)!r}, *sys.argv[1:]]))")
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "TMPDIR": str(temporary)}, start_new_session=True, cwd=ROOT)


def state(pack):
    return {path: path.read_bytes() for path in pack.rglob("*.py")}


@forks
@pytest.mark.thorough
def test_bugs_that_no_test_notices_are_named_and_the_checkout_is_as_it_was(pack):
    """Of what a cache keeps, the test that looks at the value need not be the one that calls the function."""
    with (pack / "caphuman_core/sums.py").open("a") as core, (pack / "tests/core/test_sums.py").open("a") as tests:
        core.write("\n\nimport functools\n\n\n@functools.lru_cache\ndef kept(u):\n    return u * 5\n")
        tests.write("\n\ndef test_call():\n    sums.kept(3)\n\n\ndef test_kept():\n    assert sums.kept(3) == 15\n")
    before = state(pack)
    said, _ = started(pack, "--count", "99").communicate(timeout=120)
    survivors = said.split("Survivors:")[1]
    assert "caphuman_core/sums.py:6  u - v  ->  (u + v)" in survivors, "called, but no value is looked at"
    assert "caphuman_core/sums.py:10  1  ->  (2)" in survivors, "never called"
    assert ":2  " not in survivors
    assert ":18  " not in survivors
    assert state(pack) == before
    assert not list((pack.parent / "tmp").iterdir()), "the copies are gone"


@forks
def test_a_sample_is_the_same_for_a_seed_and_covers_lines_first(pack):
    listed = [started(pack, "--list", "--count", "3", "--seed", seed).communicate(timeout=60)[0].splitlines() for seed in "445"]
    assert listed[0] == listed[1]
    for lines in listed:
        assert sorted(line.split()[0] for line in lines) == [f"caphuman_core/sums.py:{line}" for line in (10, 2, 6)]


@forks
@pytest.mark.thorough
def test_tests_that_fail_without_a_bug_are_told(pack):
    (pack / "tests/core/test_sums.py").write_text("from caphuman_core import sums\n\n\ndef test_values():\n    assert False\n")
    run = started(pack)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "the tests must pass before bugs are put in, but tests/core/test_sums.py does not" in said


@forks
@pytest.mark.thorough
def test_ctrl_c_leaves_nothing_behind(pack):
    slow = pack / "tests/core/test_sums.py"
    slow.write_text("import time\nfrom caphuman_core import sums\n\n\ndef test_values():\n    time.sleep(60)\n")
    run = started(pack)
    for _ in range(600):
        if list((pack.parent / "tmp").glob("mutants-*/look-0")):
            break
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    said, _ = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "the checkout is as it was" in said
    assert not list((pack.parent / "tmp").iterdir())
