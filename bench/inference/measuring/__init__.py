"""The last stage of a run: latency, memory and further evaluations of the trained models.

- `pending`: measurements that are still missing, their estimated time, and progress
- `stage`: all measurements of all trained models of a run, in one process
- `timing`: a trained model in one runtime: conversion, loading, predictions for the test images,
  warm-up, and queries timed in turns with the other models
- `hardware`: the speed of matrix products, and its drift during the timing
- `memory`: the memory that one trained model takes, in a process of its own
- `evaluation`: predictions for corrupted images, probes, weight soups, and the explanation of
  mistakes (`explained`)
- `recorded`: results of runtimes, written to the records of all seeds of a backbone
"""
