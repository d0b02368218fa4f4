"""The assets, one file a layer."""
