# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: break Chord
#
# An **invariant** is a sentence that is true at every instant. *Zave* showed that none of the seven invariants claimed for Chord is one. In this exercise you are on the
# other side: you write invariants that notice when a ring is broken, and then you look for a schedule of failures that breaks the ring as published.
#
# Your invariants are judged by the **mutants** they kill: rings that are broken in one way or another.

# %%
from labkit.coursework import Exercise
from labkit.systems.chord.snapshot import Pointers, best_successor

exercise = Exercise("chord-break")

# %% answer="student"
student = ""  # who are you? Your ring depends on it
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# A **snapshot** says for each living member what its pointers are. Who is not in it is dead. Member 4 has failed here: `best_successor` is the first entry of a list that lives, and so 1 goes
# on to 7.

# %%
members = {
    1: Pointers(7, (4, 7)),
    7: Pointers(4, (1, 4)),
}
print([best_successor(members, id) for id in members])

# %% [markdown]
# ## Task 1: does everybody know somebody? (2 points)
# Return True if each member's list names a member that lives. It may have dead entries too: those are repaired in time.

# %% answer="alive"
def everybody_knows_somebody(members):
    ### BEGIN SOLUTION
    return all(best_successor(members, id) is not None for id in members)
    ### END SOLUTION

# %% check="alive" points=2
exercise.check("alive")
### BEGIN HIDDEN TESTS
exercise.check_hidden("alive")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: one ring, once round (2 + 2 points)
# Follow best successors from anybody: sooner or later you go in a circle, and that is a ring. Return True if there is **one** ring, whoever you begin with, and if it goes round the identifiers
# **once**: then exactly one of its steps leads to a smaller number. A member that the ring does not lead to is no error: newcomers begin like that.

# %% answer="one"
def one_ring(members):
    ### BEGIN SOLUTION
    rings = set()
    for here in members:
        for _ in members:  # after so many steps we are on a ring
            here = best_successor(members, here)
        ring = [here]
        while (here := best_successor(members, here)) != ring[0]:
            ring.append(here)
        rings.add(frozenset(ring))
    falls = sum(best_successor(members, id) <= id for id in ring)
    return len(rings) == 1 and falls == 1
    ### END SOLUTION

# %% check="one" points=2
exercise.check("one")
### BEGIN HIDDEN TESTS
exercise.check_hidden("one")
### END HIDDEN TESTS

# %% check="ordered" points=2
exercise.check("ordered")
### BEGIN HIDDEN TESTS
exercise.check_hidden("ordered")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3: a schedule (3 points)
# Your own ring: eight members on the machines `m1` to `m8`, and newcomers on `m9` to `m12` that join 1.3, 2.6, 3.9 and 5.2 seconds after the start. Lists have three entries, so a ring should
# survive any **two** failures. Find failures that break it when it is maintained as published (`"sigcomm2001"`), but not when it is maintained correctly.
#
# `exercise.run(student=student, schedule=[(1.5, "m3")], maintenance="sigcomm2001")` runs a schedule and says what was violated. Write a loop that tries many, then write down what it has found.

# %% tags=["experiment"]
print(exercise.run(student=student, schedule=[(3.0, "m3")], maintenance="sigcomm2001"))

# %% answer="schedule"
schedule = []  # pairs of a time and a machine
### BEGIN SOLUTION
from random import Random

random = Random(student)
machines = [f"m{number}" for number in range(1, 13)]
for _ in range(300):
    schedule = sorted((round(random.uniform(0.5, 8), 3), machine) for machine in random.sample(machines, 2))
    published, correct = [exercise.run(student=student, schedule=schedule, maintenance=maintenance) for maintenance in ("sigcomm2001", "correct")]
    if published.violations and not correct.violations:
        break
### END SOLUTION

# %% check="schedule" points=3
exercise.check("schedule")

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_principals = None  # replace None by your number
### BEGIN SOLUTION
predicted_principals = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_principals)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# A schedule finds one bad history; a **model checker** tries them all. What is the shortest history that breaks the published protocol on a circle of five, and which of your
# invariants notices it first?

# %% tags=["experiment"]
from labkit.systems.chord.model_check import Published, explore

print(explore(Published(), ids=5, members=3))
