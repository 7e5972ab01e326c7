"""Injected faults: what disturbs the program in every way that is likely, and judges what is left.

    injection    a fault at the N-th write, rename or flush of a process, from outside the program
    processes    commands as forked children, killed at any instant, and what they leave running
    stand_ins    training and measuring without a framework, for faults elsewhere
    home         one user's folders: images, plugin, cache and results, made anew for each case
    judging      what must hold after a case
    case         one case, from a fresh home to its verdict
    campaign     cases of all kinds in turn, until the time is up
    real         a command in a Python of its own, with a framework
    kinds/       one kind of fault a function

The command is `benchmarks/faults.py`.
"""
