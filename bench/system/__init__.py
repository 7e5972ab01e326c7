"""What the process and the operating system do for all rooms: atomic files, locks, streams, cores.

Knows nothing of backbones, data sets or runs.
"""
