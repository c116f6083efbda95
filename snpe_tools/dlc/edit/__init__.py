"""Copies of DLC files with one thing changed."""
