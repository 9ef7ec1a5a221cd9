"""Tests. `from tests.mosquitto import Mosquitto` works from every test file."""
