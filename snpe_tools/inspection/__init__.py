"""What a DLC holds, whether it can be right, and how two differ: all from the file alone, with no SDK."""
