"""The kinds of faults, which are functions decorated with `kind`."""
