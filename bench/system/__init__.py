"""Process and operating-system services for all packages: atomic files, locks, streams, cores.

Does not depend on backbones, data sets or runs.
"""
