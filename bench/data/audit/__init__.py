"""The audit of a data set, before anything is trained on it.

    gate      find the same image twice, with two labels, in two splits; the consequences for a run
    result    the findings as data and as text, and how a run's folder stores them

The search for copies: hashing, search, copies.
"""
