"""What `dev.py demo` runs in the private environment: one photo through the whole graph of a running server."""
