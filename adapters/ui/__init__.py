"""`vedette ui`: the operator's page, a process of its own beside the service."""
