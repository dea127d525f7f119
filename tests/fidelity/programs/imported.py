"""A module whose bytecode is written."""
