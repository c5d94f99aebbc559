"""The base of opengrid's expected failures: a stable lower_snake code and a sentence for people."""


class OpengridError(Exception):
    """Something was refused. `code` is part of the standard; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
