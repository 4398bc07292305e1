"""Reading mixtures: windows straight from shards; a batch is a pure function of its global sample numbers."""
