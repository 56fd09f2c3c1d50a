"""One module for each file in workflows/, of the same name; its `build` describes it."""
