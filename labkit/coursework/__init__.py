"""Coursework: exercises, and a grader that asks instead of trusting.

An exercise is a notebook. A student writes functions; ``Exercise.check`` runs visible tests on them;
``labkit validate`` does the same behind walls; ``labkit grade`` adds hidden cases and writes marks.

How grading works
-----------------
Of a submission the answer cells are taken, and what else the student has added (``taken.py``). They go
into the notebook as it was handed out, and that runs under nbval in a process of its own: a *runner*
(``runner.py``), which is trusted, and a kernel in a *cage* (``cage.py``), which is not. The tests are
not in the kernel. They are in the runner, where the **judge** simulates: cluster, network, clock, faults
and trace are its own, and when a node's handler is a student's, the judge sends a *question* to the
kernel, plain data over a socket, and gets plain data back (``answers.py``, ``bridge.py``). So

* there is no checker in the student's process to be patched, no expected value to be read, no verdict to be
  forged: a student's process can do nothing but answer, and the answers are judged. (Changes to labkit are
  looked for nevertheless, and cost the marks.)
* hidden tests are the visible judges under schedules, sizes and seeds that are derived, for each student
  and task, from a teacher's secret (``tasks.hidden_seeds``, HMAC-SHA-256). They exist in the runner's
  memory only, where they come through a pipe.
* the same submission gets the same marks: the simulator is deterministic, and so are the seeds.
* neither the judges nor the system that an exercise asks for are in the student's process or in a file that
  it can read: what an exercise opens can be imported, and ``exercise.run`` is done by the judge.

Files: ``closed.py``, ``sandbox.py``, ``landlock.py``, ``seccomp.py`` the walls · ``tasks.py`` judges and
cases · ``nodes.py`` nodes with a student's handlers · ``values.py`` plain data · ``exercise.py`` what a
notebook holds · ``handout.py``, ``taken.py``, ``generate.py`` notebooks · ``folders.py`` whose they are ·
``grade.py``, ``batch.py`` many submissions · ``report.py``, ``words.py``, ``gradebook.py`` what is written ·
``exercises/`` the judges of the exercises that come with labkit.

What isolation there is, and what not
-------------------------------------
There is, on Linux: limits on time, memory, processes, files and output; no new socket and no shared memory
(seccomp, on x86-64 and AArch64); with Landlock (kernel 5.13 or newer) no file but Python, the installed
packages, what is open of labkit (``closed.py``) and an empty folder, no signal to others (6.12); with
bubblewrap, where it can make namespaces, a network, processes and shared memory of its own, and the end of
all processes with it; and if root grades, a user of its own for each run. Each page of feedback says which
of these walls stood, and `labkit doctor` which would. There is **not**: a kernel of the operating system of
its own (this is no virtual machine); without root and without bubblewrap, an end for a process that forks
and ends all the time, and a hiding of other processes' names; without Landlock and without bubblewrap, any
wall round files, so that the judges can be read; anything but the limits on macOS. A kernel that is killed
is not graded, be it by somebody else or by the student's own hand: the teacher sees who it was. A student's
*own* functions see each other within one run: a solution that passes data from node to node through a global
variable is not noticed as such, only its messages and answers are judged. A prediction can be looked up
before it is made. Questions and schedules are drawn for the name that the notebook gives, hidden cases for
the submission's; where two submissions give the same name, or have the same text, the table of marks says so,
and the teacher judges.
"""

from .answers import Answers, Wrong
from .exercise import Exercise
from .tasks import Case, Tasks

__all__ = ["Answers", "Case", "Exercise", "Tasks", "Wrong"]
