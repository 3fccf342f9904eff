"""Pictures: scikit-learn's Display objects."""
