"""Random changes of the images that the discriminator sees."""
