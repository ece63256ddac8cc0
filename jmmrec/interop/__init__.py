"""Doors to other frameworks; nothing here is imported by the rest of the library."""
