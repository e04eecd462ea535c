"""The marketplace's counter: a call passes key, limit and faults, and is written down.

Order of a call: delay, key, account, hourly limit, service, answer. A fault that replaces the
answer skips what lies between, unless it comes after the change.
"""

from adapters.spartoo.simulator.codes import Code
from adapters.spartoo.simulator.faults import FaultBoard
from adapters.spartoo.simulator.ledger import Call, Ledger
from adapters.spartoo.simulator.limits import HourlyLimit
from adapters.spartoo.simulator.plan import Plan, ResultCode
from adapters.spartoo.simulator.service import Form, Outcome
from adapters.spartoo.simulator.services import SERVICES
from adapters.spartoo.simulator.world import Account, World
from adapters.spartoo.simulator.xml import Answer

_KEPT = 200  # characters of a field's value kept in the ledger


class Counter:
    """Serves calls: fields in, answer out, one ledger entry each."""

    def __init__(self, world: World, limit: HourlyLimit, faults: FaultBoard, ledger: Ledger):
        self._world = world
        self._limit = limit
        self._faults = faults
        self._ledger = ledger

    def plan(self, service: str, form: Form) -> Plan:
        """What the faults in force make of this call."""
        account = self._world.account_of_key(form.get("partenaire"))
        return self._faults.plan(service, None if account is None else account.name)

    def serve(self, service: str, form: Form, plan: Plan) -> Answer:
        """Do what is asked, as far as the plan lets it come to that, and write the call down."""
        self._world.catch_up()
        if plan.instead is None or plan.after_change:
            outcome = self._outcome(service, form)
        else:
            outcome = self._untouched(form)
        if isinstance(plan.instead, ResultCode):
            answer = Answer(plan.instead.code, SERVICES[service].place)
        else:
            answer = Answer(outcome.code, SERVICES[service].place, outcome.listing)
        code = answer.code if plan.instead is None or isinstance(plan.instead, ResultCode) else None
        self._record(service, form, outcome, code, plan.faults)
        return answer

    def _outcome(self, service: str, form: Form) -> Outcome:
        account = self._admitted(service, form)
        if isinstance(account, Code):
            return Outcome(account, order_id=form.order_id, return_id=form.return_id)
        return SERVICES[service].handle(self._world, account, form)

    def _admitted(self, service: str, form: Form) -> Account | Code:
        key = form.get("partenaire")
        if not key:
            return Code.KEY_MISSING
        account = self._world.account_of_key(key)
        if account is None:
            return Code.KEY_UNKNOWN
        if not account.active:
            return Code.DEACTIVATED
        if not self._limit.admit(account.name, service, self._world.now()):
            return Code.TOO_MANY_CALLS
        return account

    def _untouched(self, form: Form) -> Outcome:
        order = self._world.orders.get(form.get("oID"))
        named = order or self._world.returns.by_id.get(form.get("rID"))
        status = None if named is None else named.status
        return Outcome(
            Code.OK,
            order_id=form.order_id,
            return_id=form.return_id,
            before=status,
            after=status,
        )

    def _record(
        self,
        service: str,
        form: Form,
        outcome: Outcome,
        code: int | None,
        faults: tuple[str, ...],
    ) -> None:
        key = form.get("partenaire")
        account = self._world.account_of_key(key)
        self._ledger.record(
            Call(
                number=self._ledger.next_number(),
                at=self._world.now(),
                service=service,
                account=f"unknown …{key[-4:]}" if account is None else account.name,
                fields=_kept(form),
                code=None if code is None else int(code),
                order_id=outcome.order_id,
                return_id=outcome.return_id,
                before=outcome.before,
                after=outcome.after,
                faults=faults,
            )
        )


def _kept(form: Form) -> tuple[tuple[str, str], ...]:
    """The fields without the key, shortened; of a file its size."""
    texts = [(name, text[:_KEPT]) for name, text in form.fields.items() if name != "partenaire"]
    return (*texts, *((name, f"{len(file)} bytes") for name, file in form.files.items()))
