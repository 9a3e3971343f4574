"""Networks: the selective scan and its backends, the Mamba mixer, the encoder and its training heads."""
