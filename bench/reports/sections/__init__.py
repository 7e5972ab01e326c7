"""Sections of `report.md` that have a file of their own; `markdown.py` puts them in order."""
