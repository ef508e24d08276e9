"""python -m certify.checker CERTIFICATE: the checker alone, without torch and numpy."""

import argparse
import sys

from certify.certificate.words import in_words
from certify.checker.check import verify
from theory.errors import PlateauError

parser = argparse.ArgumentParser(prog="python -m certify.checker", description=__doc__)
parser.add_argument("certificate")
parser.add_argument("--jobs", type=int, help="processes; one for each core by default")
parser.add_argument("--sample", type=float, default=1.0, help="part of the leaves to prove")

if __name__ == "__main__":
    options = parser.parse_args()
    try:
        result = verify(options.certificate, options.jobs, options.sample)
    except PlateauError as error:
        sys.exit(print(error, file=sys.stderr) or 2)
    except KeyboardInterrupt:
        sys.exit(print("interrupted: nothing is proved", file=sys.stderr) or 130)
    sys.exit(print(in_words(result)) or int(not result.accepted))
