"""Grading a batch: each submission in a runner of its own, some at a time, and what comes out of it.

An outcome is a file in ``OUT/results``; it is kept if nothing that it depends on has changed, so that an
interrupted run goes on where it stopped, and the same submission always gets the same marks. What went
wrong on *our* side (a kernel that does not start) is no mark: it is said, not kept, and the command fails.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from labkit.lab.processes import adopt_orphans

from . import landlock
from .answers import QUESTION_SECONDS, TASK_SECONDS
from .exercises import find_tasks
from .folders import Submission, file_name, find_submissions, write_whole
from .handout import Handout
from .sandbox import AS_ROOT, AS_USER, namespaces
from .taken import ANSWER, CHECK, BadSubmission
from .tasks import hidden_seeds
from .words import MOST_VALUE, printable

__all__ = ["Grader", "Limits", "Mark", "Marks", "find_submissions", "read_secret"]

#: Seconds that a runner has beyond what the notebook may take.
SLACK = 60.0

#: Bytes of the path of the folder for temporary files: a socket's has at most 107, and ours are 34 longer.
LONGEST_FOLDER = 70

#: Seconds in which a runner that is told to end ends all that it has started.
ENDS_WITHIN = 25.0

#: Bytes of a new secret.
SECRET_BYTES = 32

#: How the runner begins to say that a kernel did not start, and how often it is tried: now and then on a busy
#: machine, another process takes a port that was to be the kernel's.
NOT_STARTED = "the kernel did not start"
STARTS = 3

#: What a student is told whose code met a wall.
REFUSED = (
    "while it is graded, a notebook reaches only a folder of its own: no other files, no "
    "network, and no memory that processes share, which multiprocessing needs"
)

#: Characters of what a student's code says of itself.
MOST_NOTE = 300


@dataclass(frozen=True)
class Limits:
    """What a submission may take."""

    #: Seconds: of one question to the student's code, of a task, of a cell, of the notebook, of the
    #: processor.
    question_seconds: float = QUESTION_SECONDS
    task_seconds: float = TASK_SECONDS
    cell_seconds: float = 90.0
    total_seconds: float = 300.0
    #: Of those, all cells of the student's own beside the answers.
    own_seconds: float = 60.0
    cpu_seconds: int = 300
    #: Bytes of memory of the kernel and its children, of one file, and of what it prints that is read.
    memory: int = 2 << 30
    file_size: int = 64 << 20
    output: int = 1 << 20
    #: Bytes of all its files, and how many.
    files_size: int = 128 << 20
    files: int = 2000
    #: Bytes of memory of the judge, for what the answers give it to keep.
    judge_memory: int = 768 << 20
    #: Processes, the kernel included.
    processes: int = 32


@dataclass(frozen=True)
class Mark:
    """The marks for one task."""

    got: float
    of: float
    message: str = ""
    #: A cell that shows the failure.
    replay: str = ""


@dataclass
class Marks:
    """The marks of one student."""

    student: str
    exercise: str
    tasks: dict[str, Mark]
    #: Remarks on the whole submission, such as why it was ended.
    notes: list[str] = field(default_factory=list)
    #: Cells that raised: what they raised.
    raised: dict[str, str] = field(default_factory=dict)
    #: The walls the kernel was behind.
    walls: list[str] = field(default_factory=list)
    #: Why it could not be graded, through no fault of the student's.
    trouble: str = ""
    #: Whose questions these are: the name that the notebook gives.
    drawn_for: str = ""
    #: A hash of the answers' text, or nothing if they are as they were handed out.
    text: str = ""
    #: For the teacher: whose submission is like this one.
    alike: list[str] = field(default_factory=list)

    @property
    def got(self) -> float:
        """All marks."""
        return sum(mark.got for mark in self.tasks.values())

    @property
    def of(self) -> float:
        """The marks there are."""
        return sum(mark.of for mark in self.tasks.values())

    @classmethod
    def load(cls, found: dict[str, Any]) -> Marks:
        """What ``asdict`` wrote."""
        tasks = {name: Mark(**mark) for name, mark in found["tasks"].items()}
        return cls(**{**found, "tasks": tasks})


def read_secret(path: Path, say: Callable[[str], None] = print) -> bytes:
    """The teacher's secret in this file, which only its owner may read; a new one if there is no file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(SECRET_BYTES).hex().encode() + b"\n")
        say(f"wrote a new secret to {path}: keep it, and keep it to yourself")
    secret = path.read_bytes().strip()
    if len(secret) < 16:
        raise ValueError(
            f"the secret in {path} has {len(secret)} characters; write 16 or more, or delete the file"
        )
    if path.stat().st_mode & 0o077:
        raise ValueError(f"others may read {path}: chmod 600 {path}")
    return secret


class Grader:
    """Grades submissions of one exercise."""

    def __init__(
        self,
        handout: Handout,
        secret: bytes | None,
        out: Path | None = None,
        *,
        checks: Path | None = None,
        hidden_cells: Path | None = None,
        limits: Limits | None = None,
        jobs: int = 1,
    ) -> None:
        self.handout = handout
        #: None: only the visible tests.
        self.secret = secret
        self.out = out
        #: Where the judges of a teacher's own exercise are; and further judges that students never see.
        self.checks = (checks or Path.cwd()).absolute()
        self.hidden_cells = hidden_cells
        self.limits = limits or Limits()
        self.jobs = jobs
        self.tasks = find_tasks(handout.name, self.checks)
        unknown = [task for task in handout.points if task not in self.tasks]
        if unknown:
            raise LookupError(f"{handout.name} has a check {unknown[0]!r} that nobody judges")
        self._slots: Queue[int] = Queue()
        for number in range(jobs):
            self._slots.put(number)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._stopped = False
        #: Children that were there before: not ours to end.
        self._before: set[int] = set()
        #: Why an outcome could not be written, so that the next run does not find it.
        self.not_kept = ""

    # --- many -------------------------------------------------------------------------------------------

    def grade_all(self, submissions: Mapping[str, Path | Submission]) -> Iterator[Marks]:
        """The marks of each, as they come. Ctrl-C ends what is running; what is done stays done. What goes
        wrong with one is said of this one.
        """
        adopt_orphans()
        self._before = children()
        pool = ThreadPoolExecutor(self.jobs)
        try:
            futures = [pool.submit(self._graded, student, path) for student, path in submissions.items()]
            for future in as_completed(futures):
                yield future.result()
        finally:
            self._stopped = True
            with self._lock:
                for process in self._running.values():
                    process.terminate()  # it ends its kernel, and all that this has started
            pool.shutdown(cancel_futures=True)
            self._end_orphans()
            adopt_orphans(False)

    # --- one --------------------------------------------------------------------------------------------

    def _graded(self, student: str, submission: Path | Submission) -> Marks:
        try:
            return self.grade(student, submission)
        except Exception as error:
            return self.none(student, trouble=f"the grader failed: {type(error).__name__}: {error}")

    def grade(self, student: str, submission: Path | Submission) -> Marks:
        """The marks of one student: kept ones if nothing has changed."""
        if isinstance(submission, Path):
            submission = Submission(submission)
        if submission.trouble:
            return self.none(student, trouble=submission.trouble)
        try:
            if submission.refused:
                raise BadSubmission(submission.refused)
            notebook, remarks = self.handout.taken(submission.path)
        except BadSubmission as bad:
            return self.none(student, f"not graded as it is: {bad}", *submission.remarks)
        remarks = [*submission.remarks, *remarks]
        key = self._key(student, notebook, remarks)
        kept = self._kept(student, key)
        if kept is not None:
            return kept
        try:
            for _ in range(STARTS):
                marks = self._marks(student, self._run(student, notebook), remarks)
                if not marks.trouble.startswith(NOT_STARTED):
                    break
        except OSError as error:  # a full disk is nobody's mark
            marks = self._marks(student, {"trouble": f"the grader could not write: {error}"}, remarks)
        marks.text = self.handout.text_of(notebook)
        if not marks.trouble:
            self._keep(student, key, marks)
        return marks

    def none(self, student: str, *notes: str, trouble: str = "") -> Marks:
        """No marks, and why: notes, if it is the student's affair, else trouble."""
        said = notes[0] if notes else "not graded"
        tasks = {task: Mark(0, of, said) for task, of in self.handout.points.items()}
        return Marks(student, self.handout.name, tasks, list(notes), trouble=printable(trouble))

    def _run(self, student: str, notebook: dict[str, Any]) -> dict[str, Any]:
        slot = self._slots.get()
        folder = Path(tempfile.mkdtemp(prefix="labkit-grade-", dir=short_folder()))
        folder.chmod(0o711)
        try:
            return self._run_in(folder, student, notebook)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._slots.put(slot)

    def _run_in(self, folder: Path, student: str, notebook: dict[str, Any]) -> dict[str, Any]:
        job = {
            "folder": str(folder),
            "notebook": notebook,
            "exercise": self.handout.name,
            "checks": str(self.checks),
            "hidden_cells": self._hidden_sources(),
            "tasks": {task: {"seeds": self._seeds(student, task)} for task in self.handout.points},
            "limits": asdict(self.limits),
            "own_user": may_change_user() and namespaces() != AS_USER,
            "namespaces": namespaces(),
        }
        with self._lock:
            if self._stopped:
                return {"trouble": "interrupted"}
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "labkit.coursework.runner"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=clean_environment(),
                start_new_session=True,
            )
            self._running[process.pid] = process
        try:
            told, complaint = process.communicate(json.dumps(job).encode(), self.limits.total_seconds + SLACK)
            return dict(json.loads(told))
        except subprocess.TimeoutExpired:
            return {"trouble": f"the runner did not end within {self.limits.total_seconds + SLACK:g} s"}
        except ValueError:
            words = complaint.decode(errors="replace")[-500:]
            return {"trouble": "interrupted" if self._stopped else f"the runner failed: {words}"}
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(ENDS_WITHIN)
                process.kill()
                process.communicate()
            with self._lock:
                del self._running[process.pid]
            self._end_orphans()

    def _end_orphans(self) -> None:
        """Kernels whose runner was killed, and what has ended just after its runner, are our children now
        (see ``adopt_orphans``): end them, and take note of their end."""
        import psutil

        with self._lock:
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error, OSError):
                    if child.pid in self._running or child.pid in self._before:
                        continue
                    if child.status() == psutil.STATUS_ZOMBIE:
                        os.waitpid(child.pid, os.WNOHANG)  # it has ended, and nobody else asks how
                    elif "labkit.coursework.cage" in child.cmdline():
                        for each in (*child.children(recursive=True), child):
                            each.send_signal(signal.SIGKILL)
                        child.wait(2)

    def _seeds(self, student: str, task: str) -> list[int]:
        if self.secret is None:
            return []
        return hidden_seeds(self.secret, self.tasks.drawn, student, task, self.tasks[task].hidden)

    def _hidden_sources(self) -> dict[str, str]:
        if self.hidden_cells is None or self.secret is None:
            return {}
        return {path.name: path.read_text() for path in sorted(self.hidden_cells.glob("*.py"))}

    # --- marks ------------------------------------------------------------------------------------------

    def _marks(self, student: str, outcome: dict[str, Any], remarks: list[str]) -> Marks:
        cells = {name: tuple(each) for name, each in outcome.get("cells", {}).items()}
        changed, ended = outcome.get("changed", []), printable(outcome.get("ended", ""), MOST_NOTE)
        walls, trouble = outcome.get("walls", []), printable(outcome.get("trouble", ""))
        notes = [printable(each) for each in [*remarks, *outcome.get("notes", [])]]
        if changed:
            names = printable(", ".join(changed[:3]), MOST_NOTE)
            notes.insert(0, f"an answer has changed labkit itself ({names}): no marks")
        if ended:
            notes.append(f"the run was ended: {ended}")
        tasks = {}
        for task, of in self.handout.points.items():
            verdict = outcome.get("verdicts", {}).get(task)
            if changed:
                tasks[task] = Mark(0, of, notes[0])
            elif verdict is None:
                tasks[task] = Mark(0, of, self._unjudged(trouble, ended, cells.get(CHECK + task)))
            elif not verdict["passed"]:
                tasks[task] = Mark(0, of, printable(verdict["message"]), printable(verdict["replay"]))
            elif CHECK + task not in cells:
                tasks[task] = Mark(0, of, "its check did not come to an end")
            else:
                runs = f"{verdict['cases']} run" + "s" * (verdict["cases"] != 1)
                tasks[task] = Mark(of, of, f"right, in {runs}")
        raised = {
            name.removeprefix(ANSWER): printable(str(words), MOST_NOTE)
            for name, (ran, words) in cells.items()
            if not ran and not name.startswith(CHECK)
        }
        said = [*raised.values(), *(mark.message for mark in tasks.values() if mark.got < mark.of)]
        if any(kind in words for words in said for kind in ("PermissionError", "FileNotFoundError")):
            notes.append(REFUSED)
        drawn_for = printable(str(outcome.get("drawn_for", "")), MOST_VALUE)
        return Marks(student, self.handout.name, tasks, notes, raised, walls, trouble, drawn_for)

    def _unjudged(self, trouble: str, ended: str, cell: Any) -> str:
        if trouble:
            return f"not graded yet, and not because of you: {trouble}"
        if ended:
            return f"not judged, because the run was ended: {ended}"
        if cell is None:
            return "its check was never run"
        if cell[1].startswith("Timeout"):
            return f"its check took more than {self.limits.cell_seconds:g} s"
        said = f"; its check said {cell[1]}" if cell[1] else ""
        said = printable(said, MOST_NOTE)
        return f"the judge was never asked: is `exercise` still the exercise when its check runs?{said}"

    # --- kept outcomes ----------------------------------------------------------------------------------

    def _key(self, student: str, notebook: dict[str, Any], remarks: list[str]) -> str:
        """A hash of all that the marks depend on."""
        from labkit import __version__

        judges = Path(
            sys.modules[next(iter(self.tasks.values())).judge.__module__].__file__ or ""
        ).read_bytes()
        parts = [
            student,
            json.dumps(notebook, sort_keys=True),
            json.dumps(remarks),
            json.dumps(self.handout.points),
            json.dumps(asdict(self.limits)),
            json.dumps({task: self._seeds(student, task) for task in self.handout.points}),
            json.dumps(self._hidden_sources()),
            hashlib.sha256(judges).hexdigest(),
            __version__,
        ]
        return hashlib.sha256("\0".join(parts).encode("utf8", "surrogatepass")).hexdigest()

    def _file(self, student: str) -> Path | None:
        return self.out / "results" / file_name(student, ".json") if self.out is not None else None

    def _kept(self, student: str, key: str) -> Marks | None:
        path = self._file(student)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if path is not None:
                found = json.loads(path.read_text())
                if found["key"] == key:
                    return Marks.load(found["marks"])
        return None

    def _keep(self, student: str, key: str, marks: Marks) -> None:
        path = self._file(student)
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, json.dumps({"key": key, "marks": asdict(marks)}, indent=1))
            except OSError as error:  # graded it is all the same
                self.not_kept = f"{path.parent}: {error.strerror or error}"


def children() -> set[int]:
    """The processes that this one has started, or adopted."""
    import psutil

    return {child.pid for child in psutil.Process().children()}


def may_change_user() -> bool:
    """Whether a kernel can run as a user of its own: we are root, and that user could still read Python."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    path = Path(sys.executable).resolve()
    open_to_all = all(parent.stat().st_mode & 0o001 for parent in (*path.parents, path))
    return landlock.version() > 0 or open_to_all or namespaces() == AS_ROOT


def short_folder() -> str:
    """Where temporary folders go: TMPDIR, unless the path of a socket there would be too long for Linux.
    Raises ``OSError``."""
    chosen = tempfile.gettempdir()
    for folder in (chosen, "/tmp"):
        if len(os.fsencode(folder)) <= LONGEST_FOLDER and os.access(folder, os.W_OK):
            return folder
    raise OSError(
        f"the path of TMPDIR is too long for sockets, and /tmp cannot be written: {chosen}; "
        f"choose one of at most {LONGEST_FOLDER} bytes"
    )


def clean_environment() -> dict[str, str]:
    """What a runner needs of our environment; a student's code sees nothing else of it."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV") if name in os.environ
    }
    path = [entry for entry in sys.path if entry and Path(entry, "labkit").is_dir()]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
