"""What a Mode S squitter says, apart from how it came."""
