"""Pictures of samples with the weights of a run or of a file."""
