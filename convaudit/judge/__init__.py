"""Evidence of one execution in, verdict out: re-executed by the engine, judged by derived bounds."""
