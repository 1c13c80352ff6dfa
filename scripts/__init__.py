"""Scripts for developers of the axis."""
