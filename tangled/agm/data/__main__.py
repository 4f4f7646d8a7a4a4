"""Fetch the data sets ahead of time: `python -m agm.data [NAME ...] [--list]`."""

from __future__ import annotations

# book/appendices/c-data.qmd § Cards and licences
import argparse
import sys
from collections.abc import Sequence

from agm.data.cards import card, list_datasets
from agm.data.fetch import cache_directory
from agm.data.records import DataError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        0 if every data set asked for is in the cache, 1 if one cannot be had.
    """
    everything = ", ".join(list_datasets())
    parser = argparse.ArgumentParser(prog="python -m agm.data", description="Fetch the book's data sets.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all: {everything}")
    parser.add_argument("--list", action="store_true", help="print the cards and fetch nothing")
    options = parser.parse_args(arguments)
    failed = 0
    for name in dict.fromkeys(options.names or list_datasets()):
        try:
            entry = card(name)
            if not options.list:
                entry.load("train")
            print(entry)
        except DataError as error:
            failed = 1
            print(f"error: {error}", file=sys.stderr)
    if not options.list and not failed:
        print(f"all in {cache_directory()}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
