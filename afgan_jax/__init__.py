"""Alias-Free GAN (StyleGAN3) in JAX; README.md has the two commands to start with."""
