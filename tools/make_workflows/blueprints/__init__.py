"""One module for each file in subgraphs/; its `build` describes it."""
