"""Certificates of any network, proof files, and the checker of these."""
