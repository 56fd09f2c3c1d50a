"""One module for each command: `add_arguments(parser)` and `main(options) -> int`. Only the one that is asked for is imported."""
