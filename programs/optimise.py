"""Passes over a plan before it runs: lowering of LOC, folding of constants, fusing of detector calls, filter order.

Merging of equal steps happens while the plan is built (`graph.build`); laziness of IF and dead steps follow from the
engine's demand-driven run. Each pass here returns a new plan and notes what it did, so `explain` can say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..errors import SightlineError
from ..tools.registry import Registry
from ..tools.wanted import Want
from .expressions import compile_expression, rename_slots
from .graph import INPUT, Const, Items, Line, Node, Operand, Plan, Ref, build
from .syntax import Program

HALVES = frozenset({"TOP", "BOTTOM", "LEFT", "RIGHT"})  # LOC's names for halves of the picture need no model


class Router(Protocol):
    """Says which model finds things of some names."""

    def route(self, names: Sequence[str]) -> tuple[Want, ...] | str | None:
        """What to pick from the detector's findings, 'open_vocabulary', or None where LOC itself must decide."""
        ...

    def detects(self) -> bool:
        """Whether something fills the detector role."""
        ...


def optimise(programs: Sequence[Program], registry: Registry, router: Router | None = None) -> Plan:
    """The merged plan of checked programs, after all passes."""
    plan = build(programs, registry)
    plan = _rewrite(plan, _fold_constant)
    plan = _order_filters(plan, registry)
    if router is not None and "DETECT" in registry and "PICK" in registry:
        plan = _lower_locate(plan, router)
    _note_merges(plan)
    return plan


# -- rewriting -------------------------------------------------------------------------------------------------

Rewrite = Callable[[Plan, Node], int | None]


def _rewrite(plan: Plan, change: Rewrite) -> Plan:
    """A copy of `plan` in which `change(new_plan, node)` may replace nodes; it returns None to keep one.

    The node that `change` sees has its operands already in the new plan's numbering.
    """
    new = Plan(plan.programs, notes=list(plan.notes))
    moved: list[int] = []
    for node in plan.nodes:
        here = Node(
            node.id,
            node.op,
            tuple((name, _move(operand, moved)) for name, operand in node.args),
            tuple((name, moved[target]) for name, target in node.slots),
        )
        if node.slots:
            here = _rename_slots(here)
        replaced = change(new, here)
        moved.append(new.add(here.op, here.args, here.slots) if replaced is None else replaced)
    new.lines = [
        [Line(line.step, moved[line.node], tuple(moved[b] for b in line.behind)) for line in lines]
        for lines in plan.lines
    ]
    new.results = [moved[node] for node in plan.results]
    return new


def _move(operand: Operand, moved: list[int]) -> Operand:
    if isinstance(operand, Ref):
        return Ref(moved[operand.node])
    if isinstance(operand, Items):
        return Items(tuple(Ref(moved[i.node]) if isinstance(i, Ref) else i for i in operand.items))
    return operand


def _rename_slots(node: Node) -> Node:
    """EVAL names its slots by node number; after a move the numbers are new."""
    (_, expression), *_rest = node.args
    assert isinstance(expression, Const)
    text = rename_slots(str(expression.value), {name: f"S{target}" for name, target in node.slots})
    slots = tuple(dict.fromkeys((f"S{target}", target) for _, target in node.slots))
    return Node(node.id, node.op, (("expr", Const(text)),), slots)


# -- passes ----------------------------------------------------------------------------------------------------


def _fold_constant(plan: Plan, node: Node) -> int | None:
    """EVAL without slots, and IF with a known condition, are decided now. An error stays for the run to report."""
    if node.op == "EVAL" and not node.slots:
        (_, expression), *_rest = node.args
        assert isinstance(expression, Const)
        try:
            value = compile_expression(str(expression.value)).evaluate({})
        except SightlineError:
            return None
        plan.notes.append(f"folded EVAL to {value!r}")
        return plan.add("VALUE", [("value", Const(value))])
    if node.op == "IF":
        args = dict(node.args)
        condition = args["condition"]
        known = _known_value(plan, condition)
        if known is not None:
            branch = args["then" if truth(known[0]) else "otherwise"]
            plan.notes.append(f"folded IF to its '{'then' if truth(known[0]) else 'otherwise'}' branch")
            if isinstance(branch, Ref):
                return branch.node
            return plan.add("VALUE", [("value", branch)])
    return None


def _known_value(plan: Plan, operand: Operand) -> tuple[object] | None:
    if isinstance(operand, Const):
        return (operand.value,)
    if isinstance(operand, Ref) and plan.nodes[operand.node].op == "VALUE":
        return _known_value(plan, plan.nodes[operand.node].args[0][1])
    return None


def truth(value: object) -> bool:
    """A value as a condition: 'no', 'No.' (as models answer), 'false', '', 0, None and empty lists are false."""
    if isinstance(value, str):
        return value.strip().rstrip(".!").casefold() not in ("", "no", "false", "0", "none")
    if isinstance(value, Sequence):
        return len(value) > 0
    return bool(value)


def _lower_locate(plan: Plan, router: Router) -> Plan:
    """LOC(image, 'dog') becomes DETECT(image) + PICK('dog'): one detector pass serves every name asked of a picture.

    Names outside the detector's vocabulary go to the open-vocabulary model, all names of one picture in one call.
    A name that comes from another step is known only at run time: such a LOC stays as it is.
    """
    routes: dict[tuple[str, ...], tuple[Want, ...] | str | None] = {}
    labels: dict[int, set[str]] = {}  # image node -> names for the open-vocabulary model
    asked: dict[int, tuple[int, tuple[str, ...]]] = {}  # LOC node -> its image node and names
    for node in plan.nodes:
        args = dict(node.args)
        names = _constant_names(args["object"]) if node.op == "LOC" else ()
        image = args.get("image")
        if names and isinstance(image, Ref):
            asked[node.id] = (image.node, names)
            if names not in routes:
                routes[names] = router.route(names)
            if routes[names] == "open_vocabulary":
                labels.setdefault(image.node, set()).update(names)

    behind: dict[int, tuple[int, ...]] = {}
    fused: dict[tuple[str, int], int] = {}

    def lower(new: Plan, node: Node) -> int | None:
        if node.op == "SEG":
            return _share_detector(new, node, behind) if router.detects() else None
        old_image, names = asked.get(node.id, (0, ()))
        route = routes.get(names)
        image = dict(node.args).get("image")
        if route is None or not isinstance(image, Ref):
            return None
        if isinstance(route, str):
            union = Const(tuple(sorted(labels[old_image])))
            source = new.add("DETECT_OPEN", [("image", image), ("labels", union)])
            pick = (Const(names), Const(("",) * len(names)))
        else:
            source = new.add("DETECT", [("image", image)])
            pick = (Const(tuple(w.label for w in route)), Const(tuple(w.color for w in route)))
        picked = new.add(
            "PICK", [("image", image), ("object", Ref(source)), ("labels", pick[0]), ("colors", pick[1])]
        )
        behind[picked] = (source,)
        key = (new.nodes[source].op, image.node)
        fused[key] = fused.get(key, 0) + 1
        return picked

    new = _rewrite(plan, lower)
    new.lines = [
        [Line(line.step, line.node, behind.get(line.node, line.behind)) for line in lines]
        for lines in new.lines
    ]
    for (op, _), count in sorted(fused.items()):
        if count > 1:
            new.notes.append(f"fused {count} LOC on one picture into one {op}")
    return new


def _share_detector(new: Plan, node: Node, behind: dict[int, tuple[int, ...]]) -> int | None:
    """SEG(image) becomes SEG(image, DETECT(image)), so that it and LOC ask the detector once."""
    args = dict(node.args)
    if args.get("object") != Const(None):
        return None
    source = new.add("DETECT", [("image", args["image"])])
    segmented = new.add("SEG", [("image", args["image"]), ("object", Ref(source))])
    behind[segmented] = (source,)
    return segmented


def _constant_names(operand: Operand) -> tuple[str, ...]:
    """LOC's names where they are known before the run; none for halves of the picture, which need no model."""
    if not isinstance(operand, Const):
        return ()
    given = operand.value if isinstance(operand.value, tuple) else (operand.value,)
    names = tuple(dict.fromkeys(str(name).strip() for name in given))
    return () if not all(names) or any(name in HALVES for name in names) else names


# What a step writes into regions that it passes through one for one. A filter on anything else may go before it.
_WRITES = {"CLASSIFY": frozenset({"label", "score"})}


def _order_filters(plan: Plan, registry: Registry) -> Plan:
    """FILTER(CLASSIFY(x), 'area > 5%') becomes CLASSIFY(FILTER(x, 'area > 5%')): fewer regions reach the model.

    Only where the filter reads nothing that the step writes, keeps no count-dependent choice, and nobody else uses the
    step's result.
    """
    if "FILTER" not in registry:
        return plan
    from ..tools.conditions import fields_read

    uses: dict[int, int] = {}
    for node in plan.nodes:
        for dep in node.deps:
            uses[dep] = uses.get(dep, 0) + 1
    old = plan.nodes
    movable: set[int] = set()
    for node in old:
        args = dict(node.args)
        if node.op != "FILTER" or not isinstance(source := args.get("object"), Ref):
            continue
        below = old[source.node]
        condition = args.get("where")
        if (
            below.op in _WRITES
            and uses[below.id] == 1
            and isinstance(condition, Const)
            and isinstance(condition.value, str)
            and args.get("keep", Const("all")) == Const("all")
        ):
            try:
                reads = fields_read(condition.value)
            except SightlineError:
                continue
            if not reads & _WRITES[below.op]:
                movable.add(node.id)

    if not movable:
        return plan

    def swap(new: Plan, node: Node) -> int | None:
        if node.id not in movable:
            return None
        args = dict(node.args)
        source = args["object"]
        assert isinstance(source, Ref)
        below = new.nodes[source.node]
        inner = dict(below.args)["object"]
        first = new.add("FILTER", [(k, inner if k == "object" else v) for k, v in args.items()])
        new.notes.append(f"moved FILTER before {below.op}")
        return new.add(below.op, [(k, Ref(first) if k == "object" else v) for k, v in below.args])

    return _rewrite(plan, swap)


def _note_merges(plan: Plan) -> None:
    steps = sum(len(lines) for lines in plan.lines)
    alive = plan.live()
    shown = {line.node for lines in plan.lines for line in lines if line.node in alive}
    dead = sum(1 for lines in plan.lines for line in lines if line.node not in alive)
    if dead:
        plan.notes.append(f"dropped {dead} dead {'step' if dead == 1 else 'steps'}")
    merged = steps - dead - len(shown)
    if merged > 0:
        plan.notes.append(f"merged {merged} identical {'step' if merged == 1 else 'steps'}")


__all__ = ["HALVES", "INPUT", "Router", "optimise", "truth"]
