"""The web services for returns."""

from datetime import UTC, datetime

from adapters.spartoo.simulator.codes import Code
from adapters.spartoo.simulator.returns import MERCHANT_SETS, ReturnStatus, SimulatedReturn
from adapters.spartoo.simulator.service import Form, Outcome
from adapters.spartoo.simulator.world import Account, World
from adapters.spartoo.simulator.xml import return_listing

_LONGEST_LINK = 255  # assumed
_PDF = b"%PDF-"


def export_returns(world: World, account: Account, form: Form) -> Outcome:
    """`xml_export_returns`: the returns since `date`, those of `oID`, or that of `rID`."""
    if return_id := form.get("rID"):
        return _export_one(world, account, return_id, form)
    if order_id := form.get("oID"):
        if world.order_of(account, order_id) is None:
            return Outcome(Code.NOT_FOUND, order_id=order_id)
        found = [one for one in world.returns.of_account(account.name) if one.order_id == order_id]
        return Outcome(Code.OK, return_listing(_with_status(found, form)), order_id)
    since = _timestamp(form.get("date"))
    if since is None:
        return Outcome(Code.PARAMETER_MISSING)
    found = [one for one in world.returns.of_account(account.name) if one.requested_at >= since]
    return Outcome(Code.OK, return_listing(_with_status(found, form)))


def _export_one(world: World, account: Account, return_id: str, form: Form) -> Outcome:
    found = world.returns.find(account.name, return_id)
    if found is None:
        return Outcome(Code.NOT_FOUND, return_id=return_id)
    listing = return_listing(_with_status([found], form))
    return Outcome(Code.OK, listing, return_id=return_id, before=found.status, after=found.status)


def _timestamp(text: str) -> datetime | None:
    if not (text.isascii() and text.isdecimal()):
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _with_status(found: list[SimulatedReturn], form: Form) -> list[SimulatedReturn]:
    wanted = form.get("statut")
    return [one for one in found if wanted in ("", str(one.status.value))]


def change_return(world: World, account: Account, form: Form) -> Outcome:
    """`xml_maj_returns`: set the status of `rID`, its label, or both; or nothing at all."""
    return_id = form.get("rID")
    if not return_id or not (form.get("statut").isdecimal() or _has_label(form)):
        return Outcome(Code.ID_OR_STATUS_MISSING, return_id=return_id or None)
    found = world.returns.find(account.name, return_id)
    if found is None:
        return Outcome(Code.NOT_FOUND, return_id=return_id)
    before = found.status
    code = _status_code(found, form)
    if code is Code.OK:
        code = _label_code(found, form)
    if code is Code.OK:
        _apply(found, form)
    return Outcome(code, return_id=return_id, before=before, after=found.status)


def _has_label(form: Form) -> bool:
    given = form.fields.keys() | form.files.keys()
    return not given.isdisjoint({"label_link", "label_file"})


def _status_code(found: SimulatedReturn, form: Form) -> Code:
    if not (wanted := form.get("statut")):
        return Code.OK
    if not wanted.isdecimal():
        return Code.ID_OR_STATUS_MISSING
    if int(wanted) == found.status:
        return Code.SAME_STATUS
    allowed = {int(status): before for status, before in MERCHANT_SETS.items()}
    return Code.OK if found.status in allowed.get(int(wanted), ()) else Code.WRONG_CHRONOLOGY


def _label_code(found: SimulatedReturn, form: Form) -> Code:
    """Assumed: -22 is an empty file, -23 one that is no PDF or did not come as a file."""
    link = form.get("label_link")
    if len(link) > _LONGEST_LINK:
        return Code.LABEL_LINK_TOO_LONG
    if link and link == found.label_link:
        return Code.SAME_LABEL_LINK
    if form.files.get("label_file") == b"":
        return Code.LABEL_FILE_EMPTY
    if "label_file" in form.fields or not form.files.get("label_file", _PDF).startswith(_PDF):
        return Code.LABEL_FILE_NOT_READ
    return Code.OK


def _apply(found: SimulatedReturn, form: Form) -> None:
    if wanted := form.get("statut"):
        found.status = ReturnStatus(int(wanted))
    found.label_link = form.get("label_link") or found.label_link
    found.label_file = form.files.get("label_file", found.label_file)
