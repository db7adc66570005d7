"""`labkit lab`: JupyterLab and one Ray beside it, started together and ended together.

processes.py   starting programs so that none is left behind, however the end comes
head.py        the process that holds Ray
server.py      JupyterLab, and the two of them as one command
"""
