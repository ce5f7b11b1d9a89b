"""Image sets: archives, their conversion and checks, and batches of them."""
