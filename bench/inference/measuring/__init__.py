"""The last stage of a run: how fast the trained models answer, and what that costs.

- `pending`: what is still to be measured, for how long, and how much of it is done
- `stage`: all of it, for all trained models of a run, in one process
- `timing`: one trained model through one runtime: converted, loaded, asked every test image; then
  warm-up and timed queries, of many in turn
- `hardware`: matrix products for the best speed and its drift
- `memory`: what one trained model takes to answer, in a process that has done nothing else
- `evaluation`: what trials still lack besides: answers to corrupted images, probes, weight soups,
  and what explains mistakes (`explained`)
- `recorded`: the results of runtimes, put into the records of the seeds that they stand for
"""
