# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: MapReduce on RDDs
#
# A **shuffle** sends each pair to the machine that is responsible for its key. It is what costs: bytes go to disk and over the network. In Spark (*Zaharia et al., NSDI 2012*) you say what is to be done with **RDDs**,
# distributed collections, and each operation that groups by key shuffles. You will write three programs of the lecture, and then the trace counts the bytes they shuffled.

# %%
from operator import add

from labkit.coursework import Exercise
from labkit.systems.spark import SingleContext

exercise = Exercise("spark-mapreduce")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# `SingleContext` runs Spark programs on one thread, without a cluster. Your functions get RDDs and return one; they do not `collect`.

# %%
sc = SingleContext()
pairs = sc.parallelize([("a", 1), ("b", 2), ("a", 3)], 2)
print(sorted(pairs.reduceByKey(add).collect()))
print(sorted(pairs.join(sc.parallelize([("a", "x")])).collect()))

# %% [markdown]
# ## Task 1: word count (2 points)
# `lines` is an RDD of strings. Return an RDD of pairs: each word, and how often it occurs.

# %% answer="words"
def word_count(lines):
    ### BEGIN SOLUTION
    return lines.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(add)
    ### END SOLUTION

# %% check="words" points=2
exercise.check("words")
### BEGIN HIDDEN TESTS
exercise.check_hidden("words")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: an inverted index (3 points)
# `documents` is an RDD of pairs: a name, and a text. Return an RDD of pairs: each word, and the **sorted list** of the names of the documents that have it, each once.

# %% answer="index"
def inverted_index(documents):
    ### BEGIN SOLUTION
    words = documents.flatMap(lambda page: [(word, page[0]) for word in set(page[1].split())])
    return words.groupByKey().mapValues(sorted)
    ### END SOLUTION

# %% check="index" points=3
exercise.check("index")
### BEGIN HIDDEN TESTS
exercise.check_hidden("index")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3: a join (2 points, and 2 for few bytes)
# `orders` has pairs (customer, amount), many for each customer; `customers` has pairs (customer, country). Return pairs: a country, and the sum of its customers' orders.

# %% answer="join"
def revenue(orders, customers):
    ### BEGIN SOLUTION
    spent = orders.reduceByKey(add).join(customers)
    return spent.map(lambda found: (found[1][1], found[1][0])).reduceByKey(add)
    ### END SOLUTION

# %% check="join" points=2
exercise.check("join")
### BEGIN HIDDEN TESTS
exercise.check_hidden("join")
### END HIDDEN TESTS

# %% [markdown]
# Now the same programs, and the trace counts the bytes that were shuffled. What can be **combined** on the machine where it is need not travel one by one. (Only right results count.)

# %% check="bytes" points=2
exercise.check("bytes")
### BEGIN HIDDEN TESTS
exercise.check_hidden("bytes")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_pairs = None  # replace None by your number
### BEGIN SOLUTION
predicted_pairs = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_pairs)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# Your word count on a cluster; `engine="ray"` runs it in real processes. How many bytes does it shuffle with `groupByKey`?

# %% tags=["experiment", "nbval-ignore-output"]
for line in exercise.watch(engine="sim"):
    print(line)
