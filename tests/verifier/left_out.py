#!/usr/bin/env python3
"""Leaves every check of verify.py out once, and judges the bundles on standard input again: one at least must be judged otherwise.

A line is a bundle as JSON: text, keys, witnesses, quorum, kept, verdict. What is left out are whole calls of `need`. What nobody misses is
printed; exit code 1 if there is any."""
import ast, copy, json, pathlib, sys, types

SOURCE = (pathlib.Path(__file__).parent / "verify.py").read_text("utf-8")
LINES = SOURCE.splitlines()
# What follows reads the command line; what precedes is Ed25519, which is tried with vectors of its own.
FIRST = next(at for at, line in enumerate(LINES, 1) if line.startswith("# --- Texts"))
TREE = ast.parse(SOURCE)
TREE.body = TREE.body[: next(at for at, one in enumerate(TREE.body) if LINES[one.lineno - 1].startswith("options = "))]

# Checks of a form alone, by what they say: bundles that break a form are among the changed ones of tests/attest/mutated.rs.
OF_FORM = ["is no whole number", "is no decimal", "is no key of kind", "a note can't be read", "the note is no checkpoint", "does not verify",
           "a lot's head is not in its form", "a line is not in its form", "a line's day or amounts", "a seal is not in its form",
           "a lot continues, and the statement does not", "its leaf is not in the form of leaves"]


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


def without(at, place):
    """The program without that."""
    tree = copy.deepcopy(TREE)
    node = list(ast.walk(tree))[at]
    if place is None:
        node.value = ast.copy_location(ast.Constant(None), node)
    else:
        del node.values[place]
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
unmissed, tried, of_form = [], 0, set()
for name, at, place in sites(TREE):
    tried += 1
    space = load(without(at, place), whole["signed"])
    if all(verdict(space, case) == case["verdict"] for case in cases):
        form = next((words for words in OF_FORM if words in name), None)
        of_form.add(form)
        unmissed += [] if form else [name]
print(f"{len(cases)} bundles, {tried} left out, {len(unmissed)} of them missed by nobody:", *unmissed, sep="\n  ")
print(f"{len(wrong)} judged otherwise than by the first verifier:", *wrong[:3], sep="\n  ")
missed = set(OF_FORM) - of_form
print("of form, and noticed all the same:", *missed, sep="\n  ")
sys.exit(1 if unmissed or wrong or tried < 35 else 0)
