"""Ways to a device: ADB, SSH, and a fake one in a folder."""
