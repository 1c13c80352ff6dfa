"""The folder that comes first on the path of a process that is to die at exact points; see sitecustomize."""
