"""The command line: one file a command, and what is shown while it works."""
