"""What the discriminator sees of an image instead of the image itself."""
