"""The trace, and everything that is read out of it: causes, files, folds, words."""
