"""Networks that can be read: hidden neurons of one or two features, proven on any table."""
