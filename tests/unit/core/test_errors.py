from __future__ import annotations

import pickle
import re

from snpe_tools.core import errors
from snpe_tools.core.errors import QnnError, SnpeToolsError


def _all_classes(base: type[SnpeToolsError] = SnpeToolsError) -> list[type[SnpeToolsError]]:
    return [base, *(found for child in base.__subclasses__() for found in _all_classes(child))]


def test_the_tree_in_the_docstring_names_every_class_and_exit_code() -> None:
    drawn = errors.__doc__ or ""
    for kind in _all_classes():
        assert kind.__name__ in drawn
        assert kind.__doc__
    codes = dict(re.findall(r"── (\w+) +(\d+)", drawn))
    assert codes == {kind.__name__: str(kind.exit_code) for kind in SnpeToolsError.__subclasses__()}


def test_the_hint_stands_on_its_own_line() -> None:
    assert str(errors.UsageError("Bad.", "Do this.")) == "Bad.\n  → Do this."
    assert str(errors.UsageError("Bad.")) == "Bad."


def test_errors_travel_between_processes() -> None:
    back = pickle.loads(pickle.dumps(QnnError("m", "h", code=1002)))  # noqa: S301
    assert (type(back), back.message, back.hint, back.code) == (QnnError, "m", "h", 1002)
    other = pickle.loads(pickle.dumps(errors.TensorError("m", "h")))  # noqa: S301
    assert (other.message, other.hint) == ("m", "h")
