"""Mapping, synthesis and discriminator networks (Flax Linen), thin around signal/."""
