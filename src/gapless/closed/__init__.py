"""Problems with closed forms: whitened, rank-one, linear, batch-normalised, spike-free data."""
