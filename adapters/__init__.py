"""Adapters: ready-made offices for systems that speak folders or HTTP. They use the public names of `axis` alone."""
