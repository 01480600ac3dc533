"""Virtual devices: they speak the real protocols at the device boundary, so that a driver cannot tell."""
