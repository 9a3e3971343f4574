"""Networks: the Mamba mixers, the stems, the encoder, its training heads and its files."""
