"""Injected faults: disturb the program in all likely ways, and judge the result.

    injection    a fault at the N-th write, rename or flush of a process, from outside the program
    processes    commands as forked children, killed at any instant, and their orphans
    stand_ins    training and measuring without a framework, for faults elsewhere
    home         one user's folders: images, plugin, cache and results, created for each case
    judging      the conditions that must hold after a case
    case         one case, from a new home to its verdict
    campaign     cases of all kinds in turns, until the time is up
    real         a command in a Python process of its own, with a framework
    kinds/       one function for each kind of fault

The command is `benchmarks/faults.py`.
"""
