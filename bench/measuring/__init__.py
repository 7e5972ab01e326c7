"""The last stage of a run: how fast the trained models answer, and what that costs.

rounds      warm-up and timed queries, of many subjects in turn
noise       a fixed piece of work, timed again and again: did the machine keep its speed?
peak        what the hardware does in the best case: a chain of matrix products
memory      how much of it a process and a device took at most
energy      joules, where a GPU counts them
deployment  one trained model through one runtime: converted, loaded, compared
stage       all of it, for all trained models of a run, in one process
"""
