"""Generators with a certificate: closed-form Wasserstein GANs, and descent-ascent to a saddle."""
