"""dev.py's parts: installs that survive interruption, children that do not survive us, failures in one sentence."""
from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tools.devkit import browser, children, host, install, lock, packages, places, server, suite

ROOT = Path(__file__).resolve().parents[2]

POSIX = pytest.mark.skipif(os.name == "nt", reason="optional: POSIX process groups")


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A checkout of nothing: every place that devkit writes to lies under tmp_path."""
    for module in (install, packages, host, browser):
        for name, value in (("ROOT", tmp_path), ("VENV", tmp_path / ".venv"), ("STATE", tmp_path / ".demo"),
                            ("OWN_HOST", tmp_path / ".host" / "tree")):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    (tmp_path / ".demo").mkdir()
    return tmp_path


def one_sentence(text: str) -> bool:
    return text.rstrip().endswith(".") and "\n" not in text.strip() and "Traceback" not in text


def dev(*arguments: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(ROOT / "dev.py"), *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **env}, check=False)


# --- failures are one sentence

def test_a_missing_photo_is_told_before_anything_is_installed():
    done = dev("demo", "--photo", "no-such-picture.jpg")
    assert done.returncode == 1
    assert "no-such-picture.jpg" in done.stderr
    assert one_sentence(done.stderr)


def test_a_wrong_comfyui_path_is_told(tmp_path):
    done = dev("demo", COMFYUI_PATH=str(tmp_path))
    assert done.returncode == 1
    assert "COMFYUI_PATH" in done.stderr
    assert one_sentence(done.stderr)


def test_a_taken_port_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = dev("demo", "--port", str(port))
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert one_sentence(done.stderr)


def test_a_wrong_python_is_told():
    code = ("import sys, runpy; sys.version_info = (3, 8, 0); sys.argv = ['dev.py', 'demo'];"
            f"runpy.run_path({str(ROOT / 'dev.py')!r}, run_name='__main__')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "3.10" in done.stderr
    assert one_sentence(done.stderr)


def test_dev_py_itself_parses_as_an_old_python():
    import ast
    ast.parse((ROOT / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 4))


@pytest.mark.parametrize(("said", "expected"), [
    ("ConnectionError: HTTPSConnectionPool: Max retries exceeded: Temporary failure in name resolution", "network"),
    ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk space"),
    ("ERROR: No matching distribution found for torch==2.11.0", "No matching distribution"),
])
def test_pip_failures_are_one_sentence(scratch, monkeypatch, said, expected):
    program = scratch / "fake_pip.py"
    program.write_text(f"import sys; print({said!r}); sys.exit(1)", encoding="utf-8")
    monkeypatch.setattr(packages, "guarded", lambda *_: [sys.executable, program])
    with pytest.raises(places.Failure, match=expected) as failure:
        packages.pip("torch", ("install", "torch"))
    assert one_sentence(str(failure.value))


def test_a_full_disk_is_told_before_a_large_install(scratch, monkeypatch):
    usage = type("Usage", (), {"free": 1 << 30})
    monkeypatch.setattr(install.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(places.Failure, match="9 GB free to install torch") as failure:
        install._check_disk("torch")
    assert one_sentence(str(failure.value))


def test_an_unmakeable_environment_is_told(scratch, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(places.Failure, match="python3-venv") as failure:
        install.make_environment()
    assert one_sentence(str(failure.value))


# --- installing in steps

def test_a_step_is_done_once_and_again_when_its_inputs_change(scratch, monkeypatch):
    calls = []
    monkeypatch.setattr(install, "pip", lambda name, arguments: calls.append(arguments))
    step = install.Step("pack", ("-r", "requirements.txt"), "numpy")
    install._install(step)
    install._install(step)
    assert len(calls) == 1
    install._install(install.Step("pack", ("-r", "requirements.txt"), "numpy\nscipy"))
    assert len(calls) == 2


def test_temporary_files_of_another_dev_py_at_work_are_left_alone(scratch):
    temporary = scratch / ".venv" / "tmp"
    for name in ("young", "old"):
        (temporary / name).mkdir(parents=True)
        (temporary / name / "file").write_text("in use")
    (temporary / "old_file").write_text("")
    long_ago = time.time() - 2 * 86400
    for name in ("old", "old_file"):
        os.utime(temporary / name, (long_ago, long_ago))
    install._forget_old(temporary)
    assert [path.name for path in temporary.iterdir()] == ["young"]
    install._forget_old(scratch / "nowhere")


def test_an_interrupted_step_is_done_again(scratch, monkeypatch):
    def interrupted(name, arguments):
        raise KeyboardInterrupt
    step = install.Step("pack", ("x",), "")
    monkeypatch.setattr(install, "pip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        install._install(step)
    assert not step.is_done()


def test_a_package_cut_off_before_its_last_file_is_forgotten(scratch):
    site = scratch / ".venv" / "lib" / "python3.11" / "site-packages"
    (site / "whole-1.dist-info").mkdir(parents=True)
    (site / "whole-1.dist-info" / "RECORD").touch()
    (site / "half-1.dist-info").mkdir()
    install._drop_half_installed()
    assert [path.name for path in site.iterdir()] == ["whole-1.dist-info"]


def test_a_half_made_environment_is_made_anew(scratch, monkeypatch):
    python = scratch / ".venv" / ("Scripts" if os.name == "nt" else "bin") / ("python.exe" if os.name == "nt" else "python")
    python.parent.mkdir(parents=True)
    python.write_text("not a program", encoding="utf-8")
    for module in (install, packages):
        monkeypatch.setattr(module, "venv_python", lambda: python, raising=False)
    install.make_environment()
    assert install._works("import pip")


# --- the host's archive

def archive(path: Path, entries: list[tuple[str, bytes | None]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    return path


def test_only_plain_files_of_the_host_leave_the_archive(tmp_path):
    source = archive(tmp_path / "a.tar.gz", [
        ("pkg-1/vendor/ComfyUI/main.py", b"print()"), ("pkg-1/vendor/ComfyUI/comfy/ops.py", b""), ("pkg-1/setup.py", b""),
        ("pkg-1/vendor/ComfyUI/../../../escaped.py", b""), ("/vendor/ComfyUI/absolute.py", b""),
        ("pkg-1/vendor/ComfyUI/link", None)])
    tree = host.unpack(source, tmp_path / "in" / "tree")
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink())
    assert files == ["a.tar.gz", "in/tree/comfy/ops.py", "in/tree/main.py"]
    assert tree == tmp_path / "in" / "tree"


def test_another_archive_is_refused(scratch, monkeypatch):
    monkeypatch.setattr(host, "pip", lambda *_: archive(scratch / "x.tar.gz", []))
    with pytest.raises(places.Failure, match="SHA-256"):
        host.download(scratch)


def test_an_interrupted_unpacking_leaves_no_tree(scratch, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(host, "chosen_host", lambda: None)
    monkeypatch.setattr(host, "download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        host.get()
    assert list((scratch / ".host").iterdir()) == []


# --- two at once, and the end of children

def test_a_lock_excludes_and_ends_with_its_process(tmp_path):
    path = tmp_path / "lock"
    code = ("import time\nfrom pathlib import Path\nfrom tools.devkit import lock\n"
            f"with lock.held(Path({str(path)!r})):\n    print('held', flush=True)\n    time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout.readline() == "held\n"
        with lock.held(path, wait=False) as free:
            assert not free
        assert str(other.pid) in lock.owner(path)
        other.kill()
        other.wait()
        with lock.held(path, wait=False) as free:       # no stale lock
            assert free


CHILD = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)'])
print(os.getpid(), flush=True)
time.sleep(120)
"""
PARENT = """
import subprocess, sys, time
from tools.devkit import children, places
children.venv_python = lambda: sys.executable
with children.child(children.guarded({script!r}), children.clean_environment()) as process:
    {ending}
"""


def group_is_gone(leader: int, patience: float = 20.0) -> bool:
    """Whether every process of the group ends within `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.killpg(leader, signal.SIGKILL)
    return False


@POSIX
@pytest.mark.parametrize("ending", ["time.sleep(120)", "raise KeyboardInterrupt", "pass"])
def test_children_never_outlive_us(tmp_path, ending):
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    wait = "sys.stdin.readline(); " if ending != "time.sleep(120)" else ""       # until the child has started its own child
    code = PARENT.format(script=str(script), ending=wait + ending)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, cwd=ROOT) as parent:
        leader = int(parent.stdout.readline())
        if wait:
            parent.stdin.write("\n")
            parent.stdin.flush()
        else:
            parent.kill()                       # no chance to clean up
        assert group_is_gone(leader)


# --- what the commands are made of

def test_the_model_folders_of_the_host_and_the_stand_ins_are_named(tmp_path):
    import yaml
    extra = server.make_base(tmp_path / "base", tmp_path / "a tree: with 'signs'")
    named = yaml.safe_load(extra.read_text(encoding="utf-8"))
    assert named["host"]["base_path"] == str(tmp_path / "a tree: with 'signs'" / "models")
    assert named["untrained"]["checkpoints"] == "checkpoints"
    assert (tmp_path / "base" / "custom_nodes" / places.PACK_NAME / "pyproject.toml").is_file()


def test_test_paths_choose_their_part():
    assert suite._chosen("core", ["-x"]) == ["-x", str(ROOT / "tests" / "core")]
    assert suite._chosen("core", ["tests/core/test_dev.py", "-k", "lock"]) == ["-k", "lock", "tests/core/test_dev.py"]
    assert suite._chosen("host", ["tests/core/test_dev.py"]) is None
    assert suite._chosen("host", ["tests/host"]) == [str(ROOT / "tests" / "host")]
    assert suite._chosen("browser", ["tests"]) == [str(ROOT / "tests" / "browser")]


def test_every_folder_of_tests_is_a_part():
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders <= set(suite.PARTS)
    assert sorted(name for lane in suite.LANES for name in lane) == sorted(suite.PARTS)


def test_a_missing_browser_fails_its_part_in_one_sentence(scratch, monkeypatch, capsys):
    def missing():
        raise places.Failure("the browser tests need a Chromium, but none was found: install one.")
    monkeypatch.setattr(browser, "ready", missing)
    monkeypatch.setattr(suite, "TEST_OUTPUT", scratch / "out")
    assert suite._part(scratch, "browser", []) == suite.Outcome(1, {"failed": 1})
    (scratch / "out").mkdir()
    assert list(suite._in_lanes(scratch, {"browser": []})) == [suite.Outcome(1, {"failed": 1})]
    first, second = capsys.readouterr().err.splitlines()
    assert first == second
    assert one_sentence(first)


AWAITED = "import time\nfrom pathlib import Path\nMARK = Path(__file__).parents[1] / 'mark'\n"
WAITS = AWAITED + "def test_b():\n    while not MARK.exists():\n        time.sleep(0.05)\n"


@pytest.fixture
def made_suite(scratch, monkeypatch):
    """made_suite(core="def test_a(): ...", browser=...) writes a part of each, below a suite of its own."""
    def make(**parts):
        for name, text in parts.items():
            (scratch / "tests" / name).mkdir()
            (scratch / "tests" / name / f"test_of_{name}.py").write_text(text, encoding="utf-8")
    (scratch / "tests").mkdir()
    settings = (f"[pytest]\npythonpath = {ROOT / 'tests'}\naddopts = -p no:cacheprovider --strict-markers\n"
                "markers = thorough\n")
    (scratch / "pytest.ini").write_text(settings, encoding="utf-8")
    (scratch / "tests" / "conftest.py").write_text(
        "from plugin_required import Required\ndef pytest_configure(config):\n    config.pluginmanager.register(Required())\n",
        encoding="utf-8")
    monkeypatch.setattr(browser, "ready", lambda: Path("chromium"))
    monkeypatch.setattr(children, "venv_python", lambda: sys.executable)
    monkeypatch.setattr(suite, "ROOT", scratch)
    monkeypatch.setattr(suite, "TEST_OUTPUT", scratch / "out")
    return make


@pytest.mark.parametrize(("waiting", "code", "sum_of_all"), [(WAITS, 0, "2 passed, 0 failed, 0 skipped"),
                                                             ("def test_b(): assert False\n", 1, "1 passed, 1 failed, 0 skipped")])
def test_parts_run_at_the_same_time_and_all_count(scratch, made_suite, capfd, waiting, code, sum_of_all):
    """The browser's test waits for what the core's test does: one after the other, they would wait for ever."""
    made_suite(core=AWAITED + "def test_a(): MARK.touch()\n", browser=waiting)
    assert suite.run(scratch, []) == code
    said = capfd.readouterr().out.splitlines()
    assert said[-1] == sum_of_all
    assert {"core tests", "browser tests"} <= set(said)         # above what each said, which is shown whole when it has ended


MARKED = "import pytest\n@pytest.mark.thorough\ndef test_slow(): pass\ndef test_quick(): pass\n"


@pytest.mark.parametrize(("arguments", "passed"), [([], 1), (["--thorough"], 2), (["tests/core"], 2), (["-x"], 1)])
def test_thorough_tests_run_when_asked_for_or_when_a_path_is_given(scratch, made_suite, capfd, arguments, passed):
    made_suite(core=MARKED)
    assert suite.run(scratch, arguments) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[-1] == f"{passed} passed, 0 failed, 0 skipped"
    assert ("1 tests were left out (python dev.py test --thorough leaves out none)" in said) == (passed == 1)


# --- the browser of the browser tests

def program(folder: Path, name: str, code: str = "exit 0") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(scratch, monkeypatch):
    """A machine whose PATH holds one folder (returned), whose user is root, and that has no browser and no apt."""
    folder = scratch / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CHROMIUM_PATH", raising=False)
    monkeypatch.setattr(browser, "PLACES", ())
    monkeypatch.setattr(browser.os, "geteuid", lambda: 0)
    return folder


@POSIX
def test_the_browser_is_looked_for_in_order(machine, monkeypatch):
    assert browser.find() is None
    google = program(machine, "google-chrome")
    assert browser.find() == google
    program(machine, "chromium-browser", "echo please install the snap; exit 1")
    assert browser.find() == google
    chromium = program(machine, "chromium")
    assert browser.find() == chromium
    chosen = program(machine, "of-my-own")
    monkeypatch.setenv("CHROMIUM_PATH", str(chosen))
    assert browser.find() == chosen


@POSIX
def test_a_chosen_browser_that_does_not_start_is_told(machine, monkeypatch):
    monkeypatch.setenv("CHROMIUM_PATH", str(machine / "gone"))
    with pytest.raises(places.Failure, match=r"CHROMIUM_PATH.*gone") as failure:
        browser.ready()
    assert one_sentence(str(failure.value))


APT = """case "$*" in
  *update*) ;;
  *install*chromium) printf '#!/bin/sh\\n' > {folder}/chromium; /bin/chmod +x {folder}/chromium ;;
esac"""


@POSIX
@pytest.mark.parametrize("sudo", [False, True])
def test_root_or_sudo_gets_the_browser_from_apt_once(machine, monkeypatch, sudo):
    program(machine, "apt-get", f"echo \"$@\" >> {machine}/calls\n" + APT.format(folder=machine))
    if sudo:
        monkeypatch.setattr(browser.os, "geteuid", lambda: 1000)
        program(machine, "sudo", f'echo sudo "$@" >> {machine}/calls; shift; [ "$1" = true ] || exec "$@"')
    assert browser.ready() == machine / "chromium"
    assert browser.ready() == machine / "chromium"
    calls = (machine / "calls").read_text(encoding="utf-8").splitlines()
    assert [line for line in calls if not line.startswith("sudo")] == \
        ["-q update", "-q install -y --no-install-recommends chromium"]
    assert ("sudo -n apt-get -q update" in calls) == sudo


@POSIX
@pytest.mark.parametrize("case", ["no apt", "no right", "apt fails"])
def test_a_browser_that_cannot_be_had_is_told_with_what_to_do(machine, monkeypatch, case):
    if case != "no apt":
        program(machine, "apt-get", "echo 'E: Unable to locate package chromium'; exit 100")
    if case == "no right":
        monkeypatch.setattr(browser.os, "geteuid", lambda: 1000)
        program(machine, "sudo", "exit 1")
    with pytest.raises(places.Failure, match=r"apt install chromium.*CHROMIUM_PATH") as failure:
        browser.ready()
    assert ("Unable to locate" in str(failure.value)) == (case == "apt fails")
    assert one_sentence(str(failure.value))


def test_only_tests_need_the_packages_of_the_tests(scratch):
    (scratch / "requirements.txt").touch()
    project = scratch / "pyproject.toml"
    project.write_text('[project]\nname = "x"\n\n[project.optional-dependencies]\nbench = ["a>=1"]\n\n[dependency-groups]\n'
                       'test = ["pytest>=8"]\n\n[tool.x]\ny = 1\n', encoding="utf-8")
    demo = {step.name for step in install._requirement_steps(scratch, for_tests=False)}
    tests = {step.name: step for step in install._requirement_steps(scratch, for_tests=True)}
    assert set(tests) - demo == {"test requirements", "optional back ends", "benchmark and training requirements"}
    assert tests["test requirements"].arguments == ("--group", "test", "--group", "browser", "--group", "check")
    assert tests["optional back ends"].arguments[0] == "--no-deps"
    project.write_text(project.read_text(encoding="utf-8").replace("a>=1", "a>=2"), encoding="utf-8")
    later = {step.name: step for step in install._requirement_steps(scratch, for_tests=True)}
    assert [name for name in tests if later[name].digest != tests[name].digest] == [
        "pack requirements", "benchmark and training requirements"]


def suite_of(folder: Path, text: str) -> subprocess.CompletedProcess:
    """Run one test file under this suite's own rules."""
    (folder / "conftest.py").write_text(
        "from plugin_required import Required, block_host\nblock_host()\n"
        "def pytest_configure(config):\n    config.pluginmanager.register(Required())\n", encoding="utf-8")
    (folder / "test_it.py").write_text("import pytest\n" + text, encoding="utf-8")
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)], capture_output=True,
                          text=True, timeout=120, cwd=folder, check=False,
                          env={**os.environ, "CAPHUMAN_BLOCK_HOST": "1", "PYTHONPATH": str(ROOT / "tests")})


@pytest.mark.parametrize(("text", "code"), [
    ("def test_a(): pass", 0),
    ("def test_a(): pytest.skip('no model file')", 1),
    ("def test_a(): pytest.skip('optional: no graphics device')", 0),
    ("pytest.importorskip('no_such_module')\ndef test_a(): pass", 1),
    ("@pytest.mark.xfail(reason='known')\ndef test_a(): assert False", 1),
    ("def test_a():\n    with pytest.raises(ImportError, match='host'): import comfy.utils", 0),
], ids=["passes", "skips", "optional", "import or skip", "expected to fail", "host is blocked"])
def test_a_required_test_that_does_not_run_fails_the_suite(tmp_path, text, code):
    done = suite_of(tmp_path, text)
    assert done.returncode == code, done.stdout
    assert ("REQUIRED TEST DID NOT RUN" in done.stdout) == (code == 1)
