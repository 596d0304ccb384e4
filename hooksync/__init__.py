"""hooksync keeps the webhook subscriptions of Preservica tenancies as a YAML file says they should be."""

__version__ = "0.1.0"
