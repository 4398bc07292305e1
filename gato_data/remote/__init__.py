"""Folders of object stores: datasets that are read where they lie."""
