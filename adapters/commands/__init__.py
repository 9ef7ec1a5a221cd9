"""What `vedette COMMAND` does, a file a command; the parser that calls them is `adapters/cli.py`."""
