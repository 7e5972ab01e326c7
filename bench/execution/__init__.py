"""From a request to a finished run: the plan, the processes of trials, their records."""
