"""Photos in, batches out: sources -> stages -> shards -> loader."""
