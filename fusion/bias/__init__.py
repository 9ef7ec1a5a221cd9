"""What each sensor measures wrong: learnt from common traffic, applied, and whether it is still believed."""
