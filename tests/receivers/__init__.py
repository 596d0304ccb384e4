"""The public module for receivers, the examples that use it, and the recipes of docs/receivers.md."""
