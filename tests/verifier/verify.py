#!/usr/bin/env python3
"""Checks donors' statement bundles, alone and offline, with nothing but Python 3.9 or later. It shares no code with Almoner.

    verify.py [--key VKEY]... [--witness VKEY]... [--quorum K] [--kept FILE] BUNDLE...

A key of the log is NAME+ID+KEY; K of the witnesses must have cosigned. --kept is what was kept of the statements before: a checkpoint, or
the file that `almoner verify` writes. A line is printed for each bundle: that it holds, or why not. Exit code 0: all hold; 4: one does not."""
import argparse, base64, bisect, contextlib, functools, hashlib, json, re, sys
class Refused(ValueError): pass
def need(true, reason, where):
    if not true: raise Refused(f"{reason}: {where}")
# --- Ed25519 (RFC 8032), strictly: no scalar beyond the order, no point of small order or in a second encoding ---
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
def add(p, q):
    t = D * p[0] * q[0] * p[1] * q[1]
    return (p[0] * q[1] + q[0] * p[1]) * pow(1 + t, -1, P) % P, (p[1] * q[1] + p[0] * q[0]) * pow(1 - t, -1, P) % P
def times(n, p):
    rest = times(n >> 1, add(p, p)) if n else (0, 1)
    return add(rest, p) if n & 1 else rest
def decode(data):
    """The point; None for a coordinate that is not below P, for what is no point, and for a point of small order."""
    sign, y = divmod(int.from_bytes(data, "little"), 2**255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    x = x if x & 1 == sign else P - x
    return (x, y) if len(data) == 32 and y < P and x * x % P == square and times(8, (x, y))[0] else None
BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
@functools.lru_cache(None)
def signed(key, message, signature):
    s, a, r = int.from_bytes(signature[32:], "little"), decode(key), len(signature) == 64 and decode(signature[:32])
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    return bool(a and r) and s < L and add(times(s, BASE), times(k, (P - a[0], a[1]))) == r
# --- Texts that have one form ---
def unbase64(text, url=False):
    """The bytes of the one text that stands for them; None for any other text."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4) if url else text, altchars=b"-_" if url else None, validate=True)
    except ValueError:
        return None
    return data if text.encode() == (base64.urlsafe_b64encode(data).rstrip(b"=") if url else base64.b64encode(data)) else None
def unhash(text):
    return unbase64(text) if re.fullmatch("[^=]{43}=", text) else None
def whole(text):
    need(re.fullmatch("0|[1-9][0-9]{0,19}", text) and int(text) < 2**64, "non-canonical", f"{text[:80]!a} is no whole number")
    return int(text)
def decimal(text):
    """A signed decimal in its smallest part, and how many places it has."""
    form = re.fullmatch(r"(-?)(?:0|[1-9][0-9]{0,38})(?:\.(?=[0-9])|$)([0-9]{0,255})", text)
    value = int(text.replace(".", "")) if form else 2**127
    need(abs(value) < 2**127 and (value or not form[1]), "non-canonical", f"{text[:80]!a} is no decimal")
    return value, len(form[2])
def shaped(value, form):
    """Whether a value has a form: a type, a literal, [form] a list, {name: form} an object, (form, form) either; ... where it is missing."""
    if isinstance(form, tuple): return any(shaped(value, one) for one in form)
    if isinstance(form, list): return isinstance(value, list) and all(shaped(one, form[0]) for one in value)
    if not isinstance(form, dict): return type(value) is form or type(value) is type(form) and value == form
    return isinstance(value, dict) and set(value) <= set(form) and all(shaped(value.get(name, ...), its) for name, its in form.items())
def read(text, form, reason="non-canonical"):
    """What JSON of that form says: no key twice, whole numbers, real text; as RFC 8785 writes it, unless it need only be well-formed."""
    try:
        value = json.loads(text, object_pairs_hook=lambda all: dict(all) if len(dict(all)) == len(all) else int("twice"),
                           parse_float=int, parse_constant=int)
        again = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        value = again = None
    need(shaped(value, form) and (reason == "malformed" or again == text.encode()), reason, f"{text[:80]!a} is not in its form")
    return value
# --- Trees (RFC 6962 §2.1): each proof is walked as the tree is split, and must be used up ---
MOST, EMPTY = 2**63 - 1, hashlib.sha256().digest()
def leaf_hash(text):
    return hashlib.sha256(b"\0" + text.encode()).digest()
def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest() if left and right else None
def split(size):
    return 1 << (size - 1).bit_length() - 1
def inclusion(index, size, leaf, path):
    """The root that a leaf and its path lead to (§2.1.1)."""
    if size == 1 or not path: return leaf if size == 1 and not path else None
    if index < split(size): return node(inclusion(index, split(size), leaf, path[:-1]), path[-1])
    return node(path[-1], inclusion(index - split(size), size - split(size), leaf, path[:-1]))
def consistency(start, end, known, path):
    """The roots of the first leaves and of all that a proof leads to (§2.1.2); `known` is the former, unless something stands left of it."""
    if start == end or not path: return (known or path[0],) * 2 if start == end and len(path) == (not known) else (None, None)
    if start <= split(end):
        old, new = consistency(start, split(end), known, path[:-1])
        return old, node(new, path[-1])
    old, new = consistency(start - split(end), end - split(end), None, path[:-1])
    return node(path[-1], old), node(path[-1], new)
def covered(low, high, leaves, rest):
    """The root over [low, high), from leaves in order (index, hash) and, as they come, the hashes of all spans that have none."""
    if not leaves or high - low == 1: return leaves[0][1] if leaves else next(rest, None)
    middle = low + split(high - low)
    at = bisect.bisect_left(leaves, (middle,))
    left = covered(low, middle, leaves[:at], rest)
    return node(left, covered(middle, high, leaves[at:], rest))
def cover_holds(leaves, size, root, cover):
    rest = iter(cover)
    return covered(0, size, leaves, rest) == root and next(rest, None) is None
def push(edge, size, leaf):
    while size & 1:
        leaf, size = node(edge.pop(), leaf), size >> 1
    return edge.append(leaf)
def edge_root(edge):
    return functools.reduce(lambda right, left: node(left, right), reversed(edge)) if edge else EMPTY
# --- Keys, notes, checkpoints, cosignatures (C2SP signed-note, tlog-checkpoint, tlog-cosignature) ---
def read_vkey(text, kind):
    """A key as (name, id, kind, key)."""
    name, given, data = (re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+(.+)", text) or re.fullmatch("()()()", "")).groups()
    key_id = hashlib.sha256(name.encode() + b"\n" + (unbase64(data) or b"")).digest()[:4]
    need(key_id.hex() == given and unbase64(data)[0] == kind and decode(unbase64(data)[1:]), "malformed", f"{text} is no key of kind {kind}")
    return name, key_id, kind, unbase64(data)[1:]
def judge(note, origin, logs, witnesses):
    """A checkpoint's size and root, and how many witnesses saw it."""
    text, _, lines = note.rpartition("\n\n")
    found = [(name, unbase64(data) or b"") for name, data in re.findall(r"^— ([^\s+]+) (.+)$", lines, re.M)]
    good = lines[-1:] == "\n" and len(note.encode()) <= 10**6 and not re.search("[\0-\t\v-\x1f]", note)
    need(good and lines.count("\n") == len(found) <= 100 and all(len(data) > 4 for _, data in found), "malformed", "a note can't be read")
    form = re.fullmatch("([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]{44})\n([^\n]+\n)*", text := text + "\n")
    need(form and int(form[2]) <= MOST and unhash(form[3]), "signature", "the note is no checkpoint")
    keys, signers = [key for key in logs if key[0] == form[1] == origin] + witnesses, set()
    for key, data in ((key, data[4:]) for name, data in found for key in keys if key[:2] == (name, data[:4])):
        time = int.from_bytes(data[:8], "big")
        message, data = (text, data) if key[2] == 1 else (f"cosignature/v1\ntime {time}\n{text}", data[8:] if time <= MOST else b"")
        need(signed(key[3], message.encode(), data), "signature", f"that of {key[0]} does not verify")
        signers.add(key)
    need(any(key[2] == 1 for key in signers), "signature", "no known key of this log signed")
    return int(form[2]), unhash(form[3]), sum(key[2] == 4 for key in signers)
# --- The bundle ---
S, PLACED, HEAD = str, {"index": str, "leaf": str}, {"head": str, "place": str, "path": [str]}
BUNDLE = {"format": "almoner-statement/1", "origin": S, "donor": {"id": S, "name": S}, "period": ({"from": S, "to": S}, None, ...),
          "checkpoint": S, "previous": (S, None, ...), "consistency": [S], "seals": [PLACED], "previous_cover": [S], "cover": [S],
          "lots": [{**HEAD, "before": ({**HEAD, "frontier": [S]}, None, ...), "lines": [{**PLACED, "disclosure": S}]}]}
SEAL, LEAF = {"lots": S, "root": S, "t": "seal", "v": 1}, {"_sd": ([S], ...), "lines": ([S], ...), "nul": (S, ...), "t": S, "v": 1}
TOLD = dict.fromkeys("balance count in lot out root salt unit".split(), S)
LINE = dict.fromkeys("amount balance class day handle lot n unit".split(), S)
LINE.update(effective=(S, ...), rate=(S, ...), resource=(S, ...))
def hashes(texts):
    need(all(map(unhash, texts)), "malformed", "a proof has something that is no hash")
    return list(map(unhash, texts))
def read_head(text):
    """A lot's head: (lot, unit, scale), [balance, in, out], (count, root)."""
    told = read(text, TOLD)
    sums = [decimal(told[name]) for name in ("balance", "in", "out")]
    good = len({scale for _, scale in sums}) == 1 and min(sums[1:])[0] >= 0 and unhash(told["root"])
    need(good and unbase64(told["salt"], True) is not None, "non-canonical", "a lot's head is not in its form")
    return (told["lot"], told["unit"], sums[0][1]), [value for value, _ in sums], (whole(told["count"]), unhash(told["root"]))
def read_line(disclosure):
    """A line (RFC 9901 §4.2.1), its figures as numbers."""
    opened = read((unbase64(disclosure, True) or b"").decode(errors="surrogateescape"), [(S, LINE)])
    good = [type(one) for one in opened] == [str, str, dict] and opened[1] == "line" and len(unbase64(opened[0], True) or b"") == 16
    need(good, "non-canonical", "a line is not in its form")
    (amount, scale), (balance, its), line = decimal(opened[2]["amount"]), decimal(opened[2]["balance"]), opened[2]
    good = scale == its and all(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", line[name]) for name in ("day", "effective") if name in line)
    need(good, "non-canonical", "a line's day or amounts are not in their form")
    return {**line, "n": whole(line["n"]), "amount": amount, "balance": balance, "scale": scale}
def in_seal(part, seal):
    place, path = whole(part["place"]), hashes(part["path"])
    good = place < seal["lots"] <= MOST and inclusion(place, seal["lots"], leaf_hash(part["head"]), path) == seal["root"]
    need(good, "inclusion", "a lot's head is not in its seal")

def check(text, trust, kept):
    """Says what holds, or raises what speaks against it; `kept` is what is kept, by origin, or for any log by nothing."""
    bundle = read(text, BUNDLE, "malformed")
    origin, known = bundle["origin"], kept.get(bundle["origin"]) or kept.get("")
    keys = trust.key or [read_vkey(key, 1) for key in (known or {}).get("keys", [])]
    size, root, seen = judge(bundle["checkpoint"], origin, keys, trust.witness)
    need(seen >= trust.quorum, "quorum", f"{seen} of {trust.quorum} witnesses")
    previous = [] if bundle.get("previous") is None else [judge(bundle["previous"], origin, keys, trust.witness)[:2]]
    if known:
        its_origin, its_size, its_root = known["checkpoint"].split("\n")[:3]
        need(its_origin == origin, "fork", f"what is kept is of {its_origin}")
        need(size >= int(its_size), "rollback", f"{its_size} leaves are kept, and there are {size}")
        same = [one for one in [(size, root), *previous] if one[0] == int(its_size)]
        need(same, "stale", f"the statement does not continue the {its_size} leaves that are kept")
        need(same[0][1] == unhash(its_root), "fork", f"the tree of {its_size} leaves is another than the one that is kept")
    path, seals = hashes(bundle["consistency"]), bundle["seals"]
    good = all(0 < before <= size and consistency(before, size, its, path) == (its, root) for before, its in previous) and (previous or not path)
    need(good, "fork", "it does not continue the previous")
    need(len(seals) == 1 + len(previous), "malformed", "there is not one seal for each checkpoint")
    for at, (its_size, _) in enumerate([(size, root), *previous]):
        need(whole(seals[at]["index"]) + 1 == its_size, "inclusion", "a seal is not the last leaf of its checkpoint")
        told = read(seals[at]["leaf"], SEAL)
        need(unhash(told["root"]), "non-canonical", "a seal is not in its form")
        seals[at].update(root=unhash(told["root"]), lots=whole(told["lots"]), hash=leaf_hash(seals[at]["leaf"]))
    path = hashes(bundle["previous_cover"])
    good = cover_holds([(previous[0][0] - 1, seals[1]["hash"])], *previous[0], path) if previous else not path
    need(good, "inclusion", "the previous seal is not in its tree")
    leaves, handles, nullifiers, told_before = {}, set(), {}, (known or {}).get("lots", {})
    def walk(part):
        """Goes through the lines of a lot, from the head before or from nothing, to the head that is sealed; the lot."""
        name, told_sums, told = read_head(part["head"])
        in_seal(part, seals[0])
        n, edge, sums, last, before = 0, [], [0, 0, 0], -1, part.get("before")
        if before is not None:
            need(previous, "malformed", "a lot continues, and the statement does not")
            in_seal(before, seals[1])
            edge, last, was = hashes(before["frontier"]), previous[0][0] - 1, None
            with contextlib.suppress(Refused):
                was, sums, (n, its) = read_head(before["head"])
            good = was == name and n <= MOST and len(edge) == bin(n).count("1") and edge_root(edge) == its
            need(good, "gap", f"{name[0]}: the lines before are not those of the head before")
        count, its = told_before.get(name[0], (n, None))
        need(n <= count, "gap", f"{name[0]}: lines were left out since those that were told before")
        for shown in [*part["lines"], None]:
            need(n != count or its is None or edge_root(edge) == unhash(its), "fork", f"{name[0]}: its first {n} lines are others than before")
            if shown is None: break
            at, index, leaf, line = f"{name[0]}, line {n + 1}", whole(shown["index"]), read(shown["leaf"], LEAF), read_line(shown["disclosure"])
            lists, hashed = [leaf.get("_sd", []), leaf.get("lines", [])], leaf_hash(shown["leaf"])
            good = len(shown["leaf"].encode()) <= 32768 and all(some == sorted(set(some)) for some in lists)
            need(good, "non-canonical", f"{at}: its leaf is not in the form of leaves")
            digest = base64.urlsafe_b64encode(hashlib.sha256(shown["disclosure"].encode()).digest()).decode().rstrip("=")
            need(digest in lists[1] and leaf["t"] == line["class"], "inclusion", f"{at}: its leaf does not hold it")
            good = last < index < size and (line["lot"], line["n"]) == (name[0], n + 1)
            need(good, "gap", f"{at}: another line stands here, or its leaf does not come after the one before")
            for side in (0, 1 if line["amount"] >= 0 else 2):
                sums[side] += abs(line["amount"]) if side else line["amount"]
            good = (line["unit"], line["scale"]) == name[1:] and 0 <= sums[0] == line["balance"]
            need(good, "balance", f"{at}: the balance is not that before and the amount")
            need((leaf["t"] == "charge") == ("nul" in leaf), "non-canonical", f"{at}: a charge has a nullifier, and nothing else has")
            used = "nul" in leaf and nullifiers.setdefault(leaf["nul"], index) != index
            need(not used and line["handle"] not in handles, "duplicate usage", f"{at}: the same usage or line was told before")
            need(leaves.setdefault(index, hashed) == hashed, "inclusion", f"{at}: two leaves are said to stand at {index}")
            n, last, _, _ = n + 1, index, handles.add(line["handle"]), push(edge, n, leaf_hash(digest))
        need(told == (n, edge_root(edge)) and n >= count, "gap", f"{name[0]}: the lines are not those that were sealed")
        need(sums == told_sums, "balance", f"{name[0]}: the sums are not those that were sealed")
        return name[0]
    lots = [walk(part) for part in bundle["lots"]]
    need(len(set(lots)) == len(lots), "duplicate usage", "a lot is told twice")
    need(set(told_before) <= set(lots), "gap", "a lot was told before and is not told now")
    leaves[size - 1] = seals[0]["hash"]
    need(cover_holds(sorted(leaves.items()), size, root, hashes(bundle["cover"])), "inclusion", "the leaves are not in the checkpoint's tree")
    return f"holds: {len(lots)} lots, {len(handles)} lines, {size} leaves, {seen} witnesses"

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
for name, kind in ("--key", 1), ("--witness", 4):
    options.add_argument(name, action="append", default=[], type=functools.partial(read_vkey, kind=kind))
options.add_argument("--quorum", type=int, default=0)
options.add_argument("--kept", type=argparse.FileType(encoding="utf-8"))
options.add_argument("bundle", nargs="+", type=argparse.FileType("rb"))
trust, failed = options.parse_args(), 0
kept = trust.kept.read() if trust.kept else "{}"
kept = {of: told for of, told in json.loads(kept).items() if "checkpoint" in told} if kept[:1] == "{" else {"": {"checkpoint": kept}}
for file in trust.bundle:
    try:
        print(check(file.read().decode("utf-8", "surrogateescape"), trust, kept))
    except Refused as why:
        failed = print(why) or 4
sys.exit(failed)
