"""The ALBERT checkpoint formats and the contract of parameter names."""
