"""Kernels: shapes, edges, and kernels made of others."""
