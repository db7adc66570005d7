"""The `labkit` command: help, demo, doctor and bench. `lab` has a file of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from typer.testing import CliRunner

from labkit import bench as benches
from labkit import doctor
from labkit.bench import Row, UnknownBench, bench, row
from labkit.cli import app
from labkit.doctor import Finding, Verdict


@pytest.fixture
def run() -> Any:
    """Run `labkit WORDS…` in this process: its result."""
    return lambda *words: CliRunner().invoke(app, words)


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("words", [(), ("lab",), ("demo",), ("doctor",), ("bench",)])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(run: Any, words: tuple[str, ...], flag: str) -> None:
    result = run(*words, flag)
    assert result.exit_code == 0
    assert "Usage: labkit" in result.output
    # Typer would print the source's line breaks and its own markup otherwise.
    assert "``" not in result.output


def test_without_a_command_it_shows_help(run: Any) -> None:
    assert "Commands:" in run().output


def test_version_is_the_one_of_the_project(run: Any) -> None:
    import labkit

    assert run("--version").output == f"labkit {labkit.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lab", "--port", "0"), "'--port'"),
        (("lab", "--notebook-dir", "/there/is/none"), "'--notebook-dir'"),
        (("demo", "--engine", "mesos"), "'--engine'"),
        (("demo", "--machines", "1"), "'--machines'"),
        (("fly",), "fly"),
    ],
)
def test_a_wrong_word_is_said_and_is_status_2(run: Any, words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert (result.exit_code, message in result.output) == (2, True), result.output


@pytest.mark.slow
def test_python_m_labkit_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "--help"], capture_output=True, text=True, check=True
    )
    assert "doctor" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["labkit", "labkit.cli", "labkit.doctor", "labkit.bench", "labkit.lab.server"]
)
def test_importing_labkit_imports_none_of_the_heavy_packages(module: str) -> None:
    heavy = ["ray", "pandas", "pyarrow", "IPython", "ipywidgets", "jupyterlab"]
    code = f"import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# ── demo ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_demo_in_the_simulator_loses_nothing_and_repeats_exactly(run: Any) -> None:
    first, second = run("demo"), run("demo")
    assert first.exit_code == 0, first.output
    assert "lost: 0" in first.output
    assert "killed" in first.output
    assert first.output == second.output
    assert run("demo", "--seed", "8").output != first.output


@pytest.mark.slow
@pytest.mark.ray
def test_demo_on_real_processes_loses_nothing(ray_head: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "demo", "--engine", "ray"],
        env={**os.environ, **ray_head.environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost: 0" in done.stdout


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────────────


def only(findings: Iterator[Finding]) -> Finding:
    """The one finding."""
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("ipykernel", "jupyterlab", "setting", "verdict", "words"),
    [
        ("7.1.0", "4.4.4", "perCommTarget", Verdict.OK, "reach Python while a cell runs"),
        ("7.3.9", "4.6.6", "perComm", Verdict.OK, "reach Python while a cell runs"),
        ("7.4.0", "4.6.6", "perCommTarget", Verdict.BROKEN, "only after the cell; this is 7.4.0"),
        ("6.29.5", "4.6.6", "perCommTarget", Verdict.BROKEN, "ipykernel 6.29.5 has no subshells"),
        ("7.3.0", "4.4.3", "perCommTarget", Verdict.BROKEN, "JupyterLab 4.4.3 does not send clicks"),
        ("7.3.0", "4.6.6", "disabled", Verdict.BROKEN, "is 'disabled'"),
        (None, "4.6.6", "perCommTarget", Verdict.BROKEN, "is missing"),
    ],
)
def test_doctor_tells_whether_clicks_work_and_why_not(
    ipykernel: str | None, jupyterlab: str, setting: str, verdict: Verdict, words: str
) -> None:
    finding = only(doctor.clicks(ipykernel and Version(ipykernel), Version(jupyterlab), setting))
    assert finding.verdict is verdict
    assert words in finding.text
    assert bool(finding.remedy) is (verdict is Verdict.BROKEN)


def test_doctor_and_the_installation_agree_on_ipykernel() -> None:
    bounds = next(each.specifier for each in doctor.requirements() if each.name == "ipykernel")
    first, broken_from = doctor.SUBSHELLS_IPYKERNEL
    assert (first in bounds, broken_from in bounds) == (True, False)


def test_doctor_finds_missing_and_wrong_versions() -> None:
    needed = [Requirement(each) for each in ("good>=1,<2", "old>=3", "absent")]
    found = list(doctor.package_versions(needed, {"good": Version("1.5"), "old": Version("2.9")}))
    assert [(each.verdict, each.text) for each in found] == [
        (Verdict.OK, "1.5"),
        (Verdict.BROKEN, "2.9 is installed; labkit needs >=3"),
        (Verdict.BROKEN, "is not installed"),
    ]
    assert found[1].remedy.endswith("-m pip install 'old>=3'")


def test_doctor_on_an_old_python() -> None:
    assert only(doctor.python_version((3, 10))).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    ("available", "limit", "verdict"),
    [
        (8_000_000_000, None, Verdict.OK),
        (8_000_000_000, 2_000_000_000, Verdict.OK),
        (8_000_000_000, 500_000_000, Verdict.NOTE),
        (500_000_000, None, Verdict.NOTE),
    ],
)
def test_doctor_on_memory(available: int, limit: int | None, verdict: Verdict) -> None:
    assert only(doctor.memory(available, limit)).verdict is verdict


@pytest.mark.parametrize(
    ("file", "text", "limit"),
    [
        ("memory.max", "max\n", None),
        ("memory.max", "2147483648\n", 2147483648),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
        ("nothing", "", None),
    ],
)
def test_doctor_reads_a_containers_limit(tmp_path: Path, file: str, text: str, limit: int | None) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert doctor.memory_limit(tmp_path) == limit


def test_doctor_reads_the_setting_that_the_user_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(tmp_path / "user"))
    monkeypatch.setenv("JUPYTERLAB_DIR", str(tmp_path / "app"))
    assert doctor.subshell_setting() == "perCommTarget"  # JupyterLab's default

    overrides = tmp_path / "app" / "settings" / "overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(json.dumps({doctor.KERNELS_SETTINGS: {"commsOverSubshells": "perComm"}}))
    assert doctor.subshell_setting() == "perComm"

    chosen = tmp_path / "user" / "@jupyterlab" / "apputils-extension" / "kernels-settings.jupyterlab-settings"
    chosen.parent.mkdir(parents=True)
    chosen.write_text('{\n // JupyterLab writes comments\n "commsOverSubshells": "disabled",\n}')
    assert doctor.subshell_setting() == "disabled"

    chosen.write_text("{ this is not JSON")
    assert doctor.subshell_setting() == "perComm"


def test_doctors_exit_status_says_whether_something_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    findings = [doctor.ok("a", "fine"), doctor.note("b", "slow", "wait")]
    monkeypatch.setattr(doctor, "examine", lambda _start: iter(findings))
    assert doctor.run_doctor(say=said.append) == 0
    findings.append(doctor.broken("c", "gone", "bring it back"))
    assert doctor.run_doctor(say=said.append) == 1
    assert any("→ bring it back" in line for line in said)
    assert said[-1] == "\n1 thing to repair, marked BROKEN."


@pytest.mark.slow
def test_doctor_looks_at_this_machine(run: Any) -> None:
    result = run("doctor", "--no-ray")
    assert "ipykernel" in result.output
    assert "clicks" in result.output
    assert result.exit_code == (1 if "BROKEN  " in result.output else 0)


@pytest.mark.slow
@pytest.mark.ray
def test_doctor_starts_a_ray_and_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    *waits, finding = doctor.ray_starts()
    assert {each.verdict for each in waits} <= {Verdict.NOTE}, "a busy machine is told that it is waited for"
    assert (finding.verdict, "and stops again" in finding.text) == (Verdict.OK, True), finding


@pytest.mark.slow
def test_doctor_says_why_ray_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ray.py").write_text(
        "import atexit, sys\n"
        "atexit.register(print, 'and a last warning', file=sys.stderr)\n"
        "raise ImportError('this Ray was built for another machine')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = only(doctor.ray_starts())
    assert finding.verdict is Verdict.BROKEN
    assert "built for another machine" in finding.text
    assert 'engine="sim"' in finding.remedy


@pytest.mark.slow
@pytest.mark.ray
def test_doctor_says_when_no_ray_answers_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    finding = only(doctor.ray_answers("127.0.0.1:1", seconds=3))
    assert finding.verdict is Verdict.BROKEN
    assert "RAY_AUTH_TOKEN_PATH" in finding.remedy


# ── bench ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry without the real benches."""
    monkeypatch.setattr(benches, "_registry", {})
    monkeypatch.setattr(benches, "__path__", [])


@pytest.mark.usefixtures("registry")
def test_bench_prints_ours_the_peers_and_the_ratio(run: Any) -> None:
    @bench("speed")
    def speed() -> Iterator[Row]:
        """How fast we are.

        And more that the list does not show.
        """
        yield row("throughput", "messages/s", ours=300, peer=200, peer_name="SimPy", must=0.8)
        yield row("start-up", "s", ours=2, peer=1, peer_name="bare actors", must=0.75, less_is_better=True)

    @bench("size")
    def size() -> Iterator[Mapping[str, Any]]:
        """How small we are."""
        yield {"case": "alone", "unit": "MB", "ours": 4.5, "peer": None, "peer_name": None}

    listed = run("bench", "--list")
    assert listed.output == "size       How small we are.\nspeed      How fast we are.\n"

    shown = run("bench")
    assert shown.exit_code == 1  # 0.5 is less than 0.75
    lines = shown.output.splitlines()
    assert lines[1].split() == ["size", "alone", "4.5", "MB"]
    assert lines[2].split() == [
        "speed",
        "throughput",
        "300",
        "200",
        "messages/s",
        "SimPy",
        "1.50",
        "≥",
        "0.80",
        "kept",
    ]
    assert lines[3].endswith("0.50  ≥ 0.75 MISSED")

    assert run("bench", "size").exit_code == 0
    as_json = json.loads(run("bench", "speed", "--json").output)
    assert as_json[1] == {
        "bench": "speed",
        "case": "start-up",
        "unit": "s",
        "ours": 2,
        "peer": 1,
        "peer_name": "bare actors",
        "ratio": 0.5,
        "must": 0.75,
    }


@pytest.mark.usefixtures("registry")
def test_an_unknown_bench_is_refused_with_the_known_ones(run: Any) -> None:
    bench("speed")(list)
    with pytest.raises(UnknownBench, match="no bench is called 'sped'; there are: speed"):
        benches.benches(["sped"])
    result = run("bench", "sped")
    assert (result.exit_code, "there are: speed" in result.output) == (2, True)


@pytest.mark.usefixtures("registry")
def test_the_first_part_of_a_name_stands_for_all_that_begin_so() -> None:
    for name in ("graphs-b", "graphs-a", "graph"):
        bench(name)(list)
    assert [each.name for each in benches.benches(["graphs"])] == ["graphs-a", "graphs-b"]
    assert [each.name for each in benches.benches(["graph"])] == ["graph"]


@pytest.mark.usefixtures("registry")
def test_a_module_of_the_folder_is_found_and_imported_when_wanted(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from labkit.bench import bench\n@bench('{0}', '{1}.')\ndef rows():\n    return []\n"
    (tmp_path / "first_of_two.py").write_text(
        code.format("first_of_two", "One") + code.format("second", "Two")
    )
    (tmp_path / "needy.py").write_text("import a_peer_that_nobody_has\n")
    monkeypatch.setattr(benches, "__path__", [str(tmp_path)])
    assert [each.name for each in benches.benches(["first_of_two"])] == ["first_of_two"]
    (tmp_path / "needy.py").unlink()
    assert run("bench", "--list").output == "first_of_two One.\nsecond     Two.\n"
    assert [each.name for each in benches.benches(["second"])] == ["second"]


@pytest.mark.usefixtures("registry")
def test_a_bench_whose_peer_is_not_installed_says_how_to_install_it(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lonely.py").write_text("import a_peer_that_nobody_has\n")
    monkeypatch.setattr(benches, "__path__", [str(tmp_path)])
    result = run("bench", "lonely")
    assert result.exit_code == 2
    assert "pip install 'labkit[bench]'" in result.output


@pytest.mark.usefixtures("registry")
def test_a_ratio_is_above_one_if_we_are_better() -> None:
    assert row("c", "1/s", ours=3, peer=2).ratio == pytest.approx(1.5)
    assert row("c", "s", ours=3, peer=2, less_is_better=True).ratio == pytest.approx(2 / 3)
    assert row("c", "s", ours=3).ratio is None
    assert row("c", "s", ours=0, peer=1, less_is_better=True).ratio == float("inf")
    assert not row("c", "s", ours=3, must=1).kept
