"""Datasets made of others: merged, cut down, grown; record bytes are copied, and nothing is decoded."""
