# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: a tally
#
# Sixty libraries keep the same documents, and nobody else does. Once in a quarter each asks some others in a **poll** whether its replica is as theirs. Bits rot, and some of the others lie. You write what a library needs: a vote that cannot be copied, the rule by which votes are judged, and what follows from it.
#
# The protocol is LOCKSS (*Maniatis et al., SOSP 2003*); the rule is this lab's model of it, from memory: see the [lecture](../lectures/lockss.ipynb).

# %%
from labkit.coursework import Exercise

exercise = Exercise("lockss-tally")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Ten voters of the *inner circle*, D = 2 votes may differ. If 8, 9 or 10 agree with the poller, its replica is **sound**: the others have damaged ones. If 0, 1 or 2 agree, its own is damaged. And with 6 against 4? Random damage does not do that. Somebody is lying, and a person must look: an **alarm**.

# %%
for agree in (9, 6, 1):
    print(f"{agree} agree, {10 - agree} do not")

# %% [markdown]
# ## Task 1: a vote (2 points)
# The SHA-256 hash, as hexadecimal digits, of: the poller's nonce, a blank, the voter's nonce, a blank (all as ASCII text), and then the content. Why is neither nonce enough alone?

# %% answer="vote"
import hashlib


def vote(poller_nonce, voter_nonce, content):
    ### BEGIN SOLUTION
    return hashlib.sha256(f"{poller_nonce} {voter_nonce} ".encode() + content).hexdigest()
    ### END SOLUTION


# %% check="vote" points=2
exercise.check("vote")
### BEGIN HIDDEN TESTS
exercise.check_hidden("vote")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: the landslide (3 points)
# `agree` of `votes` votes are as the poller's replica. The answer is one of
# * `"inquorate"`: fewer votes than `quorum`;
# * `"win"`: at most `minority` votes differ;
# * `"loss"`: at most `minority` votes agree;
# * `"inconclusive"`: anything else.


# %% answer="verdict"
def verdict(agree, votes, quorum, minority):
    ### BEGIN SOLUTION
    if votes < quorum:
        return "inquorate"
    if votes - agree <= minority:
        return "win"
    return "loss" if agree <= minority else "inconclusive"
    ### END SOLUTION


# %% check="verdict" points=3
exercise.check("verdict")
### BEGIN HIDDEN TESTS
exercise.check_hidden("verdict")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3: a poll (4 points)
# `mine` is the version that the poller has, `votes` a list of votes; each has `voter`, `circle` and `version`. Only votes with circle `"inner"` count: those of the `"outer"` circle were named by others, perhaps by liars. Return the verdict and the version that the poller has after the poll:
# * after a `"loss"` it takes the version of another voter, and **tallies again**: it keeps the new version only if the same votes would now be a `"win"`;
# * if there is no such version, the verdict is `"inconclusive"` after all, and it keeps its own.


# %% answer="poll"
def poll(mine, votes, quorum, minority):
    ### BEGIN SOLUTION
    inner = [each.version for each in votes if each.circle == "inner"]
    outcome = verdict(inner.count(mine), len(inner), quorum, minority)
    if outcome != "loss":
        return outcome, mine
    for version in inner:
        if verdict(inner.count(version), len(inner), quorum, minority) == "win":
            return "loss", version
    return "inconclusive", mine
    ### END SOLUTION


# %% check="poll" points=4
exercise.check("poll")
### BEGIN HIDDEN TESTS
exercise.check_hidden("poll")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_alarms = None  # replace None by your number
### BEGIN SOLUTION
predicted_alarms = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_alarms)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# Sixty libraries, of which an adversary has a share, judge by your `verdict` for five years: add `rule="yours"`. Then change it: a simple majority, for example, with no alarm at all. The adversary knows your rule, and lies only where that wins. Who notices?

# %% tags=["experiment", "nbval-ignore-output"]
for subverted in (0.1, 0.2, 0.3):
    print(subverted, exercise.run(seed=1, subverted=subverted, rule="labkit's"))
