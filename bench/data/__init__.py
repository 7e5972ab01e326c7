"""Data sets: from the value of `--dataset` to uint8 pixels on disk.

sources        find images, classes and splits without decoding; each returns a `Listing`
splits         assign images to splits
preparation    decode every image once at all sizes, exclude unusable ones
pixels         the decoded arrays in the cache, for the process that trains
"""
