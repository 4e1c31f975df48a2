#!/usr/bin/env python3
"""Leaves every check of verify.py out once, and judges the bundles on standard input again: one at least must be judged otherwise.

A line is a bundle as JSON: text, keys, witnesses, quorum, kept, verdict. What is left out are whole calls of `need`, single conditions of
several, and single comparisons of a chain. What nobody misses is printed; exit code 1 if there is any."""
import ast, copy, json, pathlib, sys, types

SOURCE = (pathlib.Path(__file__).parent / "verify.py").read_text("utf-8")
LINES = SOURCE.splitlines()
# What follows reads the command line; what precedes is Ed25519, which is tried with vectors of its own.
FIRST = next(at for at, line in enumerate(LINES, 1) if line.startswith("# --- Texts"))
TREE = ast.parse(SOURCE)
TREE.body = TREE.body[: next(at for at, one in enumerate(TREE.body) if isinstance(one, ast.Assign) and one.targets[0].id == "options")]

# Conditions that nothing can miss, each with the reason.
NEEDLESS = {}


def sites(tree):
    """What can be left out: a name for it, and what does so in a tree."""
    for at, node in enumerate(ast.walk(tree)):
        if getattr(node, "lineno", 0) < FIRST:
            continue
        name = f"{node.lineno}: {ast.get_source_segment(SOURCE, node)}"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "need":
            yield name, at, None
        elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            yield from ((f"{name} without {ast.get_source_segment(SOURCE, one)}", at, place) for place, one in enumerate(node.values))
        elif isinstance(node, ast.Compare) and len(node.ops) > 1:
            yield from ((f"{name} without {ast.unparse(node.comparators[place])}", at, place) for place in range(len(node.ops)))


def without(at, place):
    """The program without that."""
    tree = copy.deepcopy(TREE)
    node = list(ast.walk(tree))[at]
    if place is None:
        node.value = ast.copy_location(ast.Constant(None), node)
    elif isinstance(node, ast.BoolOp):
        node.values.pop(place)
        if len(node.values) == 1:
            node.values.append(node.values[0])
    else:
        # `a < b < c` without the first is `b < c`, without the last `a < b`.
        operands = [node.left, *node.comparators]
        operands.pop(0 if place == 0 else len(operands) - 1)
        node.ops.pop(place)
        node.left, node.comparators = operands[0], operands[1:]
    return tree


def load(tree, shared):
    space = {"__name__": "verifier"}
    exec(compile(ast.fix_missing_locations(tree), "verify.py", "exec"), space)
    space["signed"] = shared or space["signed"]
    return space


def verdict(space, case):
    try:
        keys = [[space["read_vkey"](key, kind) for key in case[name]] for name, kind in (("keys", 1), ("witnesses", 4))]
        kept = case["kept"] or "{}"
        kept = json.loads(kept) if kept[:1] == "{" else {"": {"checkpoint": kept}}
        trust = types.SimpleNamespace(key=keys[0], witness=keys[1], quorum=case["quorum"])
        return space["check"](case["text"], trust, kept).split(":")[0]
    except space["Refused"] as why:
        return str(why).split(":")[0]
    except Exception as why:
        return f"{type(why).__name__}"


whole = load(copy.deepcopy(TREE), None)
cases = [json.loads(line) for line in sys.stdin]
wrong = [f"{case['verdict']}, not {verdict(whole, case)}: {case['text']}" for case in cases if verdict(whole, case) != case["verdict"]]
unmissed, tried, needless = [], 0, set()
for name, at, place in sites(TREE):
    tried += 1
    space = load(without(at, place), whole["signed"])
    if all(verdict(space, case) == case["verdict"] for case in cases):
        reason = next((key for key in NEEDLESS if key in name), None)
        needless.add(reason)
        unmissed += [] if reason else [name]
print(f"{len(cases)} bundles, {tried} left out, {len(unmissed)} of them missed by nobody:", *unmissed, sep="\n  ")
print(f"{len(wrong)} judged otherwise than by the first verifier:", *wrong[:3], sep="\n  ")
stale = set(NEEDLESS) - needless
print("missed after all:", *stale, sep="\n  ")
sys.exit(1 if unmissed or wrong or stale or tried < 100 else 0)
