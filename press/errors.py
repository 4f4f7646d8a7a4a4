"""One kind of error for everything an author or a reader can mend."""

from __future__ import annotations

from pathlib import Path


class PressError(Exception):
    """A problem with a place and a remedy, printed as one line and turned into exit status 1.

    Args:
        what: What is wrong, in a clause.
        remedy: What to do about it, in a clause.
        file: The file it is about, relative to the root of the book where possible.
        line: The line in that file, counted from 1.
    """

    def __init__(
        self, what: str, *, remedy: str = "", file: str | Path | None = None, line: int | None = None
    ) -> None:
        self.what, self.remedy = what, remedy
        self.file, self.line = (None if file is None else str(file)), line
        super().__init__(what)

    def __str__(self) -> str:
        place = "" if self.file is None else f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return f"{place}{self.what}" + (f" – {self.remedy}" if self.remedy else "")


class PressErrors(PressError):
    """Several problems found in one pass, one a line."""

    def __init__(self, errors: list[PressError]) -> None:
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))
