"""Sections of `report.md` that have their own file; `markdown.py` puts them in order."""
