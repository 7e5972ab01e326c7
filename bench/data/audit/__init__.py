"""The audit of a data set, before anything is trained on it.

gate      find images that occur twice, in two splits or with two labels; apply `--on-leak`
result    the findings as data and as text, and their files in a run's folder
copies    the search for near copies; uses `hashing` and `search`
"""
