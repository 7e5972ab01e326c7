"""The audit of a data set, before anything is trained on it.

    examination     the same image twice, with two labels, in two splits; other findings
    result          the findings, and how a run's folder stores them
    summary         which test images leaked, what to drop, and the findings as text
    gate            the consequences for a run

The search for copies: hashing, search, similarity, copies.
"""
