"""The command line: one file per noun, over the same rooms as the servers."""
