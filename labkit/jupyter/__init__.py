"""labkit inside Jupyter: the magics (``%load_ext labkit``) and a kernel that has them loaded.

``magics.py`` is what a user types, ``kernel.py`` the process that JupyterLab starts for the kernel "labkit",
``kernelspec.py`` how JupyterLab learns of it. Nothing else in labkit needs this folder.
"""
