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

Files: ``tasks.py`` judges and cases · ``nodes.py`` nodes with a student's handlers · ``values.py`` plain
data · ``exercise.py`` what a notebook holds · ``handout.py``, ``taken.py``, ``generate.py`` notebooks ·
``folders.py`` whose they are · ``grade.py``, ``batch.py`` many submissions · ``report.py``, ``words.py``,
``gradebook.py`` what is written · ``exercises/`` the judges
of the exercises that come with labkit.

What isolation there is, and what not
-------------------------------------
There is, on Linux: limits on time, memory, processes, file size and output; the end of every process that a
submission started, orphans included; with Landlock (kernel 5.13 or newer) no file but Python, labkit and an
empty folder, no TCP connection (6.7), no signal to others (6.12); and if root grades, a user of its own for
each kernel. There is **not**: a kernel of the operating system of its own (this is no virtual machine); a
wall against UDP or against seeing the names of other processes; a limit on the number of files; anything
but the limits on macOS. A student's *own* functions see each other within one run: a solution that passes
data from node to node through a global variable is not noticed as such, only its messages and answers are
judged. A prediction can be looked up before it is made. Questions and schedules are drawn for the name that
the notebook gives, hidden cases for the submission's; where two submissions give the same name, or have the
same text, the table of marks says so, and the teacher judges.
"""

from .answers import Answers, Wrong
from .exercise import Exercise
from .tasks import Case, Tasks

__all__ = ["Answers", "Case", "Exercise", "Tasks", "Wrong"]
