"""When a proxy cannot take part."""


class NotAvailable(Exception):
    """The program is not there; the message says how to get it."""
