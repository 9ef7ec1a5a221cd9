"""What aircraft say of themselves, and whether it can be true."""
