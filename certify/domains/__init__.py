"""Domains: how one family of enclosures moves through the five primitives."""
