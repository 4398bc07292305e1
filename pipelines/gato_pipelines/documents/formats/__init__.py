"""Files that hold documents of any kind: JSON, tab-separated values, tar archives, byte ranges."""
