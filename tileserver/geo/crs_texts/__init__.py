"""CRSs as text: read, checked and written anew before PROJ sees any of it."""
