"""How a DLC is run: on the emulator, in worker processes, and on devices."""
