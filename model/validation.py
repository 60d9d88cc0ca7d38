"""What pydantic complains about, in the words of this project."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_OWN = "Value error, "  # pydantic's prefix to what a validator of ours says

# A value that a caller may read in an error is cut to this length.
ECHO = 60


def all_expected_got(error: ValidationError, whole: str) -> str:
    """All complaints in one line.

    Args:
        error: of a value that a file or a person gave.
        whole: name of that value, for complaints about no single field.
    """
    named = ((".".join(map(str, entry["loc"])) or whole, entry) for entry in error.errors())
    return "; ".join(expected_got(entry, name) for name, entry in named)


def expected_got(complaint: ErrorDetails, name: str) -> str:
    """One complaint as `name: expected ..., got ...`.

    Args:
        complaint: an entry of `ValidationError.errors()`.
        name: of the field, as whoever set it knows it.
    """
    if complaint["msg"].startswith(_OWN):
        return f"{name}: {complaint['msg'].removeprefix(_OWN)}"
    message = complaint["msg"].removeprefix("Input should be ").replace(" should have ", " with ")
    wanted = message.partition(", unable to parse")[0].partition(" after validation")[0]
    got = str(complaint["input"])[:ECHO]
    return f"{name}: expected {wanted[:1].lower()}{wanted[1:]}, got {got!r}"
