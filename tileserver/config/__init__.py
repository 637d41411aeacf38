"""Settings: a TOML file, the environment and the command line as frozen values."""
