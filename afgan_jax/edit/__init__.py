"""Latents of a model, edited: walks, mixing, directions, projection; films of them.

ws are float32 [N L w_dim]: L rows, the first of which moves the Fourier features in
networks where w does, then one a layer (`rows.names`).
"""
