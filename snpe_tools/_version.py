"""The version of this package, alone: whoever needs it imports nothing else."""

__version__ = "0.1.0"
