"""What a stranger's file may hold instead of what is expected. Every reader is attacked by the same list of forms."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESOLVERS = (
    "${{oc.create:{{_target_:os.system,_args_:['touch {canary}']}}}}",
    "${{oc.env:HOME}}",
    "${{oc.decode:'{{_target_: os.system}}'}}",
    "${{oc.select:hydra.run.dir}}",
    "${{oc.dict.keys:trainer}}",
    "${{oc.deprecated:seed}}",
    "${{hydra:runtime.cwd}}",
    "${{now:%Y}}",
    "${{cromss.run_name:x}}",
    "${{seed}}",
    "${{",
    "???",
)
"""Interpolations with every resolver, as templates of `values`."""


def values(canary: Path) -> dict[str, Any]:
    """Name -> value that may stand in the place of any value of a file.

    Args:
        canary: A file that does not exist, and that exists once a value has run.
    """
    run = f"touch {canary}"
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    return {
        **{template.split(":")[0].strip("${}?") or template: template.format(canary=canary) for template in RESOLVERS},
        "target": {"_target_": "os.system", "_args_": [run]},
        "target command": {"_target_": "os.system", "command": run},
        "partial": {"_target_": "os.system", "_partial_": True, "command": run},
        "get_method": {"_target_": "hydra.utils.get_method", "path": "os.system"},
        "nested": [[[{"_target_": "os.system", "_args_": [run]}]]],
        "override": f"hydra.run.dir={canary.parent}/elsewhere",
        "added override": f"+x._target_=os.system +x._args_=['{run}']",
        "path upwards": "../../../../victim",
        "tag": f"!!python/object/apply:os.system ['{run}']",
        "deep": deep,
        "wide": list(range(5000)),
        "long": "x" * 2_000_000,
        "infinite": float("inf"),
        "nan": float("nan"),
        "huge": 10**400,
        "negative": -1,
        "zero": 0,
        "fraction": 0.5,
        "true": True,
        "null": None,
        "empty text": "",
        "text": "abc",
        "surrogate": "\ud800",
        "zero byte": "a\0b",
        "escape": "\x1b[2J\x1b]0;owned\x07",
        "empty list": [],
        "empty dict": {},
        "number keys": {1: 2},
        "null key": {None: 1},
        "bytes": b"bytes",
    }


JSON_TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "depth": b"[" * 10_000,
    "closed depth": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "1e400": b'{"a": 1e400}',
    "NaN": b'{"a": NaN}',
    "many digits": b'{"a": ' + b"9" * 5000 + b"}",
    "surrogate": b'{"a": "\\ud800"}',
    "key twice": b'{"a": 1, "a": 2}',
    "not UTF-8": b'{"a": "\xff"}',
    "cut": b'{"a": ',
    "list": b"[1]",
    "text": b'"x"',
    "null": b"null",
}
"""Name -> bytes where a JSON file is expected."""

YAML_TEXTS: dict[str, bytes] = {
    "tag": b"a: !!python/object/apply:os.system ['touch canary']",
    "own tag": b"a: !x y",
    "exploding anchors": b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("k"))),
    "anchor of itself": b"a: &a [*a]",
    "merge": b"a: &a {b: 1}\nc:\n  <<: *a",
    "depth": b"[" * 10_000,
    "key twice": b"a: 1\na: 2",
    "number key": b"1: 2",
    "complex key": b"? [a]\n: b",
    "not UTF-8": b"a: \xff",
    "two documents": b"--- 1\n--- 2",
    "infinite": b"a: .inf",
    "not a number": b"a: .nan",
    "cut": b"a: [",
    "tabs": b"a:\n\t- b",
    "nothing": b"",
    "text": b"x",
}
"""Name -> bytes where a YAML file is expected."""


def mutations(document: Any, canary: Path) -> Iterator[tuple[str, Any]]:
    """Copies of a valid document in which one value each, at every place, is replaced by every form, or is missing.

    Args:
        document: Dictionaries and lists of plain values.
        canary: See `values`.

    Yields:
        What was changed, in words, and the changed copy.
    """
    forms = values(canary)
    for path in places(document):
        for name, form in forms.items():
            yield f"{'.'.join(map(str, path)) or 'all'} = {name}", _replaced(document, path, form)
        if path:
            yield f"{'.'.join(map(str, path))} missing", _without(document, path)


def json_bytes(document: Any) -> bytes | None:
    """JSON of a changed document, also of what JSON does not allow; None where it has no form at all."""
    try:
        return json.dumps(document).encode("utf-8", "surrogatepass")
    except (TypeError, RecursionError, ValueError):
        return None


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a document: of a list the first item stands for all."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node[:1]) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def _replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    whole = copy.deepcopy(document)
    node = whole
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return whole


def _without(document: Any, path: tuple[Any, ...]) -> Any:
    whole = copy.deepcopy(document)
    node = whole
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return whole
