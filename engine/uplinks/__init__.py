"""Ways out of the engine, behind one contract: the aggregator, a file, the standard output."""
