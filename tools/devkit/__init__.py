"""What dev.py is made of: a private environment, the host's tree, a server as a child process. Standard library only."""
