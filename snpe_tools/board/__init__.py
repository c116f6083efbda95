"""What runs on a Linux board that has no SDK: its own python3 (3.10 or later), the QNN libraries, and nothing else.

The host writes raw files in the model's own types and reads the results in them, so the board computes nothing and
needs no numpy. `snpe_tools.devices.runtimes.board` packs this folder and what it imports into one archive.
"""
