"""Serves the plugin: `python -m {{module}}`."""

from .server import main

main()
