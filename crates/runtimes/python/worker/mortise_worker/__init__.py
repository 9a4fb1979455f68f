"""The process in which plugins that are Python classes run.

The gateway starts it with the interpreter that the plugins need, sends it this package (`boot.py`), and talks to it
over a socket pair: frames of JSON, each behind its length in four bytes, big end first. `link` carries frames, `seats`
holds plugins and calls them, `shim` stands in for the framework package where none is installed, `families` speaks with
one that is, `output` sends what plugins print and log to the gateway's log. Standard library only, Python 3.9 or later.
"""
