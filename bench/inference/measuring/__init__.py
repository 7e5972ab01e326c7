"""The last stage of a run: how fast the trained models answer, and what that costs.

- `rounds`: warm-up and timed queries, of many subjects in turn
- `products`: matrix products; the hardware's best speed, and whether the machine kept its own
- `memory`: how much of it a process took at most
- `alone`: work in a process that has done nothing else
- `inference_memory`: what one trained model takes to answer, in such a process
- `energy`: joules, where a GPU counts them
- `deployment`: one trained model through one runtime: converted, loaded, asked every test image
- `needed`: which runtimes of which trial are still to be timed
- `groups`: the seeds that one model is timed for
- `recorded`: what came out, put into the records of those seeds
- `corrupted`: answers to corrupted images of models that an earlier command trained
- `stage`: all of it, for all trained models of a run, in one process
"""
