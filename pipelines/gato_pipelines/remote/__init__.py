"""Folders of object stores."""
