"""The device side of ADB on loopback: a small `adbd`, to which the real adb connects. See `__main__` and `running`."""
