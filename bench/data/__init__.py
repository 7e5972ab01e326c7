"""Data sets: from the value of `--dataset` to uint8 pixels on disk.

sources        find images, classes and splits; decode nothing: all end in a `Listing`
splits         which image goes to which split
preparation    decode every image once at all sizes, leave out the bad ones
pixels         the decoded arrays in the cache, for the process that trains
"""
