#!/usr/bin/env python3
"""Leaves every check of verify.py out once, and judges the bundles on standard input again: one at least must be judged otherwise.

A line is a bundle as JSON: text, keys, witnesses, quorum, kept, verdict. What is left out are whole calls of `need`, each operand of every `and` and
`or`, and the first and the last comparison of a chain. What nobody misses is printed; exit code 1 if there is any."""
import ast, base64, copy, hashlib, json, pathlib, sys, types

SOURCE = (pathlib.Path(__file__).parent / "verify.py").read_text("utf-8")
LINES = SOURCE.splitlines()
# What follows reads the command line; what precedes is Ed25519, which is tried with vectors of its own.
FIRST = next(at for at, line in enumerate(LINES, 1) if line.startswith("# --- Texts"))
TREE = ast.parse(SOURCE)
TREE.body = TREE.body[: next(at for at, one in enumerate(TREE.body) if LINES[one.lineno - 1].startswith("options = "))]


def sites(tree):
    """What can be left out: a name for it, where it is, and which of its operands; none for the whole call."""
    for at, node in enumerate(ast.walk(tree)):
        if getattr(node, "lineno", 0) < FIRST:
            continue
        call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "need"
        if call:
            yield f"{node.lineno}: {ast.get_source_segment(SOURCE, node)}", at, None
        for place, operand in enumerate(node.values if isinstance(node, ast.BoolOp) else []):
            yield f"{node.lineno}: {ast.get_source_segment(SOURCE, operand)} of {ast.get_source_segment(SOURCE, node)}", at, place
        if isinstance(node, ast.Compare) and len(node.ops) > 1:
            yield from ((f"{node.lineno}: the {end} of {ast.get_source_segment(SOURCE, node)}", at, end) for end in ["first", "last"])


def without(at, place):
    """The program without that."""
    tree = copy.deepcopy(TREE)
    node = list(ast.walk(tree))[at]
    if place is None:
        node.value = ast.copy_location(ast.Constant(None), node)
    elif place == "first":
        node.left = node.comparators.pop(0)
        node.ops.pop(0)
    elif place == "last":
        node.comparators.pop()
        node.ops.pop()
    else:
        # In its place stands, first, what changes nothing.
        del node.values[place]
        node.values.insert(0, ast.copy_location(ast.Constant(isinstance(node.op, ast.And)), node))
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


def vkey(name, data):
    return f"{name}+{hashlib.sha256(name.encode() + bytes([10]) + data).digest()[:4].hex()}+{base64.b64encode(data).decode()}"


def with_other_keys(cases):
    """What an option or a kept file can say of keys, and our own tests have no bundle for."""
    held = next(case for case in cases if case["verdict"] == "holds" and case["keys"] and not case["kept"])
    name, own, data = held["keys"][0].split("+", 2)
    data = base64.b64decode(data)
    bad = ["", "no key", f"{name}+{own}+!", f"{name}+00000000+{base64.b64encode(data).decode()}", vkey(name, b"\4" + data[1:]),
           vkey(name, b"\1" + b"\1".ljust(32, b"\0"))]
    yield from ({**held, "keys": [key], "verdict": "malformed"} for key in bad)
    yield {**held, "keys": [], "verdict": "signature"}
    for case in cases:
        if (case["kept"] or "")[:1] == "{" and case["keys"]:
            kept = {origin: {**known, "keys": case["keys"]} for origin, known in json.loads(case["kept"]).items()}
            yield {**case, "keys": [], "kept": json.dumps(kept)}


whole = load(copy.deepcopy(TREE), None)
cases = [json.loads(line) for line in sys.stdin]
cases += list(with_other_keys(cases))
wrong = [f"{case['verdict']}, not {verdict(whole, case)}: {case['text']}" for case in cases if verdict(whole, case) != case["verdict"]]
unmissed, tried = [], 0
for name, at, place in sites(TREE):
    tried += 1
    space = load(without(at, place), whole["signed"])
    if all(verdict(space, case) == case["verdict"] for case in cases):
        unmissed.append(name)
print(f"{len(cases)} bundles, {tried} left out, {len(unmissed)} of them missed by nobody:", *unmissed, sep="\n  ")
print(f"{len(wrong)} judged otherwise than by the first verifier:", *wrong[:3], sep="\n  ")
sys.exit(1 if unmissed or wrong or tried < 150 else 0)
