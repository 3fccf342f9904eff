"""Kernel networks, trained layer by layer: hidden layers in closed form, what they are worth."""
