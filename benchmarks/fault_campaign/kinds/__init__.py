"""The kinds of faults; a function that is marked with `kind` is one."""
