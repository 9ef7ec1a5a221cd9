"""The service as a process: it starts, keeps, takes in, gives out, and stands by for another."""
