"""The marketplace's counter: a call passes key, limit and faults, and is written down.

Order of a call: delay, key, account, hourly limit, service, answer. A fault that replaces the
answer skips what lies between, unless it comes after the change.
"""

from adapters.spartoo.simulator.codes import Code
from adapters.spartoo.simulator.faults import FaultBoard
from adapters.spartoo.simulator.ledger import Call, Ledger
from adapters.spartoo.simulator.limits import HourlyLimit
from adapters.spartoo.simulator.plan import Plan, ResultCode
from adapters.spartoo.simulator.services import SERVICES, Fields, Outcome
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

    def plan(self, service: str, fields: Fields) -> Plan:
        """What the faults in force make of this call."""
        account = self._world.account_of_key(fields.get("partenaire", ""))
        return self._faults.plan(service, None if account is None else account.name)

    def serve(self, service: str, fields: Fields, plan: Plan) -> Answer:
        """Do what is asked, as far as the plan lets it come to that, and write the call down."""
        self._world.catch_up()
        if plan.instead is None or plan.after_change:
            outcome = self._outcome(service, fields)
        else:
            outcome = self._untouched(fields)
        if isinstance(plan.instead, ResultCode):
            answer = Answer(plan.instead.code, SERVICES[service].place)
        else:
            answer = Answer(outcome.code, SERVICES[service].place, outcome.orders)
        code = answer.code if plan.instead is None or isinstance(plan.instead, ResultCode) else None
        self._record(service, fields, outcome, code, plan.faults)
        return answer

    def _outcome(self, service: str, fields: Fields) -> Outcome:
        account = self._admitted(service, fields)
        if isinstance(account, Code):
            return Outcome(account, order_id=fields.get("oID"))
        return SERVICES[service].handle(self._world, account, fields)

    def _admitted(self, service: str, fields: Fields) -> Account | Code:
        key = fields.get("partenaire")
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

    def _untouched(self, fields: Fields) -> Outcome:
        order = self._world.orders.get(fields.get("oID", ""))
        status = None if order is None else order.status
        return Outcome(Code.OK, None, fields.get("oID"), status, status)

    def _record(
        self,
        service: str,
        fields: Fields,
        outcome: Outcome,
        code: int | None,
        faults: tuple[str, ...],
    ) -> None:
        key = fields.get("partenaire", "")
        account = self._world.account_of_key(key)
        self._ledger.record(
            Call(
                number=self._ledger.next_number(),
                at=self._world.now(),
                service=service,
                account=f"unknown …{key[-4:]}" if account is None else account.name,
                fields=tuple((n, v[:_KEPT]) for n, v in fields.items() if n != "partenaire"),
                code=None if code is None else int(code),
                order_id=outcome.order_id,
                before=outcome.before,
                after=outcome.after,
                faults=faults,
            )
        )
