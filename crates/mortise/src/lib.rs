//! The mortise command: wiring of gateway, runtimes and built-in plugins.
