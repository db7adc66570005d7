# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: a vertex cut
#
# PowerGraph divides the edges of a graph among machines. A vertex has a **replica** on each machine where it has an edge, and all its replicas must hear of each new value; so what is sent grows with the number of replicas. *Gonzalez, Low, Gu, Bickson and
# Guestrin, PowerGraph, OSDI 2012*, §5.2.1, place the edges one after the other, each so that the fewest new replicas are made. With A(u) the machines that have u already, an edge (u, v) goes
#
# 1. to a machine in both A(u) and A(v), if there is one;
# 2. if both have some, but none in common: to a machine of that vertex which has **more edges left** to be placed;
# 3. if only one of them has some: to one of those;
# 4. if neither has: to any machine.
#
# Among several, to the one with the **fewest edges** so far. You write this cut.

# %%
from labkit.coursework import Exercise

exercise = Exercise("powergraph-cut")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Three edges on two machines. The first may go anywhere, say to machine 0. Then A(1) = A(2) = {0}, so the second should go to machine 0, too: vertex 2 is there. And the third?

# %%
edges = [(1, 2), (2, 3), (4, 5)]
A = {1: {0}, 2: {0}, 3: {0}}
print("replicas so far:", sum(len(machines) for machines in A.values()))

# %% [markdown]
# Neither 4 nor 5 is anywhere. Any machine makes two new replicas; machine 1 has no edge yet, so it goes there.
#
# ## Task 1: the four cases (2 points)
# The machines that may get an edge (u, v), as a set of numbers, 0 to `machines - 1`. `of_u`, `of_v`: the sets A(u), A(v); `left_u`, `left_v`: how many of their edges are still to be placed (never equal here).

# %% answer="candidates"
def candidates(of_u, of_v, left_u, left_v, machines):
    ### BEGIN SOLUTION
    if of_u & of_v:
        return of_u & of_v
    if of_u and of_v:
        return of_u if left_u > left_v else of_v
    return of_u or of_v or set(range(machines))
    ### END SOLUTION

# %% check="cases" points=2
exercise.check("cases")
### BEGIN HIDDEN TESTS
exercise.check_hidden("cases")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: the cut (3 points for replicas, 2 for the balance)
# The machine of each edge, as a list of numbers in the order of `edges`, a list of pairs (u, v). Look at the edges one after the other; what you need to know of vertices and machines, keep it yourself.

# %% answer="cut"
def cut(edges, machines):
    ### BEGIN SOLUTION
    there, left, load, places = {}, {}, [0] * machines, []
    for edge in edges:
        for vertex in edge:
            there[vertex], left[vertex] = set(), left.get(vertex, 0) + 1
    for u, v in edges:
        may = candidates(there[u], there[v], left[u], left[v], machines)
        place = min(may, key=lambda machine: (load[machine], machine))
        places.append(place)
        load[place] += 1
        for vertex in (u, v):
            there[vertex].add(place)
            left[vertex] -= 1
    return places
    ### END SOLUTION

# %% [markdown]
# **Replicas.** At most 1.15 times as many as labkit's own cut makes of the same edges, on eight machines.

# %% check="replicas" points=3
exercise.check("replicas")
### BEGIN HIDDEN TESTS
exercise.check_hidden("replicas")
### END HIDDEN TESTS

# %% [markdown]
# **Balance.** The fullest machine has at most 2.5 times the mean of edges.

# %% check="balance" points=2
exercise.check("balance")
### BEGIN HIDDEN TESTS
exercise.check_hidden("balance")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_replicas = None  # replace None by your number
### BEGIN SOLUTION
predicted_replicas = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_replicas)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# Add "yours" to the rules. How do replicas grow with machines? What if you place the edges sorted by their source, or those of the largest vertices last?

# %% tags=["experiment", "nbval-ignore-output"]
for machines in (4, 8, 16):
    for rule in ("random", "labkit's"):
        print(f"{machines:2} {rule:10}", exercise.run(seed=1, machines=machines, rule=rule))
