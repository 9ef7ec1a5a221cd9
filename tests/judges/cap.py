"""A validator of others (capvalidator) holds CAP to the schema of OASIS. Runs in an environment apart.

python cap.py    a message in hexadecimal digits a line, and a line of words for each: "fine", or why not
"""

from __future__ import annotations

import sys

from capvalidator.validate import Validator
from lxml import etree


def main() -> None:
    """See the head of the file."""
    for line in sys.stdin:
        message = bytes.fromhex(line)
        judge = Validator(message)
        fine, words = judge.schema()
        if not fine:  # it does not say why; the schema that it holds does
            try:
                etree.fromstring(message, judge.get_schema_parser())
            except etree.XMLSyntaxError as error:
                words = str(error)
        print("fine" if fine else words.replace("\n", " "), flush=True)


if __name__ == "__main__":
    main()
