from __future__ import annotations

import pytest
from pydantic import ValidationError

from fairlead.model import Ledger, TableLedger

SAME = TableLedger(table="people", only_live=0, only_kept=0, changed=0, exact=True)
DIFFER = {
    "a row only in the live one": {"only_live": 1},
    "a row only in the kept one": {"only_kept": 1},
    "a changed row": {"changed": 1},
    "not known": {"changed": None},
    "an estimate of nothing": {"exact": False},
}


def test_a_ledger_goes_to_json_and_back() -> None:
    tables = (
        SAME,
        TableLedger(table='odd " name; --', only_live=3, exact=False, says="rows were counted, not compared"),
    )
    ledger = Ledger(database="crm", kind="estimate", tables=tables)
    assert Ledger.model_validate_json(ledger.to_json()) == ledger


@pytest.mark.parametrize("case", DIFFER)
def test_only_what_is_known_to_be_equal_does_not_differ(case: str) -> None:
    other = SAME.model_copy(update=DIFFER[case])
    assert Ledger(database="crm", kind="exact", tables=(SAME, other)).differing == (other,)


def test_a_ledger_has_no_place_for_values() -> None:
    with pytest.raises(ValidationError):
        TableLedger.model_validate({**SAME.model_dump(), "values": ["secret"]})
