"""Backbones, one file a family: declarations of pretrained networks, registered on import.

Each file may be imported without Keras being imported; what a declaration names is resolved when it
is used. A backbone of your own needs nothing here: `--plugin FILE`, or an entry point in the group
`backbone_bench.backbones`.
"""
