"""The audit of a data set, before anything is trained on it.

    examination     the same image twice, under two labels, in two splits; what else is odd
    findings        what was found, and what a run's folder keeps of it
    leaks           the test images that were seen before; what to drop so that none is
    gate            what follows for a run
    words, terminal, pictures     what is told and shown of it

The search for copies: thumbnails, hashing, search, alignment, similarity, chance, copies.
"""
