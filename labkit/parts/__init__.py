"""What several systems are made of.

A part is a mechanism that more than one paper needs, such as the file system below MapReduce, Dryad and
Pregel: nodes, and what a user or another node holds of them; or what every system's object can do
(``system.py``). It knows no system, only the runtime below it; it is written for at least two users, and
tested alone, on both engines.
"""
