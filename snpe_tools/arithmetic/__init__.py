"""The integer arithmetic of the HTP, rebuilt: a quantized DLC computed at the speed of the CPU, bit by bit.

Each rule was found by running DLCs of one operation on the emulator and comparing inputs with outputs;
`docs/arithmetic.md` has the rules, and `bench/arithmetic.py` measures how many values each reproduces.
"""
