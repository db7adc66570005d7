"""A new exercise to start from: ``labkit exercise new NAME`` writes three files that work as they are."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["write_template"]

SOURCE = """# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # NAME
#
# First the **word** that the exercise is about, and what it means.

# %%
from labkit.coursework import Exercise

exercise = Exercise("NAME")

# %% answer="student"
student = ""  # your name
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Something small that can be done with pencil and paper.

# %%
print(sorted([3, 1, 2])[1])

# %% [markdown]
# ## Task: the median (2 points)
# Return the middle one of an odd number of numbers.

# %% answer="median"
def median(numbers):
    ### BEGIN SOLUTION
    return sorted(numbers)[len(numbers) // 2]
    ### END SOLUTION

# %% check="median" points=2
exercise.check("median")
### BEGIN HIDDEN TESTS
exercise.check_hidden("median")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted = None  # replace None by your number
### BEGIN SOLUTION
predicted = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# Is the median of medians the median? Try.
"""

JUDGES = '''"""The judges of NAME. A judge asks a student's answers and raises ``Wrong`` with helpful words.

Keep this file beside the notebook: students need it too. Marks come from the same judges in other cases.
"""

from labkit.coursework import Answers, Case, Tasks, Wrong
from labkit.runtime.copying import stream

tasks = Tasks("NAME")


@tasks.task("median", visible=(1, 2), hidden=10)
def median(answers: Answers, case: Case) -> None:
    """The middle one of an odd number of numbers."""
    random = case.random
    numbers = [random.randrange(100) for _ in range(2 * random.randrange(5) + 1)]
    got, wanted = answers.call("median", numbers), sorted(numbers)[len(numbers) // 2]
    if got != wanted:
        raise Wrong(f"median({numbers}) gave {got!r}; in order they are {sorted(numbers)}")


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number."""
    guess = answers.value("predicted")
    if guess != question(answers.value("student"))[2]:
        raise Wrong(f"predicted {guess!r}")


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the answer."""
    numbers = stream(0, "NAME", student).sample(range(100), 5)
    return f"What is the median of {numbers}?", f"{sorted(numbers)}: the third", sorted(numbers)[2]
'''

WRONG = '''# Planted wrong solutions: what each must lose, and nothing else.

[[wrong]]
name = "forgets to sort"
loses = ["median"]
[wrong.answers]
median = """
def median(numbers):
    return numbers[len(numbers) // 2]
"""
'''


def write_template(name: str, folder: Path) -> list[Path]:
    """The files written. Raises ``ValueError`` for a name that is none, ``FileExistsError``."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(
            f"{name!r}: an exercise's name is small letters, digits and single dashes: chord-mine"
        )
    texts = {f"{name}.py": SOURCE, f"{name.replace('-', '_')}_checks.py": JUDGES, f"{name}.toml": WRONG}
    paths = [folder / file for file in texts]
    for path in paths:
        if path.exists():
            raise FileExistsError(f"{path} exists already; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text.replace("NAME", name))
    return paths
