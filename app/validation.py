"""What pydantic complains about, in the words of this project."""

from pydantic_core import ErrorDetails

# A value that a caller may read in an error is cut to this length.
ECHO = 60


def expected_got(complaint: ErrorDetails, name: str) -> str:
    """One complaint as `name: expected ..., got ...`.

    Args:
        complaint: an entry of `ValidationError.errors()`.
        name: of the field, as whoever set it knows it.
    """
    message = complaint["msg"].removeprefix("Input should be ").replace(" should have ", " with ")
    wanted = message.partition(", unable to parse")[0].partition(" after validation")[0]
    got = str(complaint["input"])[:ECHO]
    return f"{name}: expected {wanted[:1].lower()}{wanted[1:]}, got {got!r}"
