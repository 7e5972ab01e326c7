"""Records to figures: metrics, statistics, the verdict, choices and comparisons.

Renders nothing; what is here is computed once and read by every report.
"""
