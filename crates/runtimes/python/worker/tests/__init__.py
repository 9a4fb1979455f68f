"""Tests of the worker: `python -m unittest discover -s worker -t worker` in the crate's folder."""
