"""How settings are described, gathered and read; `config` says which there are."""
