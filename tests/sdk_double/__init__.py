"""A double of the SNPE and QAIRT SDK: its folders, and its tools with the arguments, words, exit codes and lies of the
real ones. What the tools write is made by this project's own PyPI toolchain, so the DLC files are real.

Source: Qualcomm's public documentation (80-63442-2) and public logs and calls of the tools.
"""
