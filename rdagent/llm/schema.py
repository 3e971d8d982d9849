"""A reply's JSON schema in the form that providers take."""

from __future__ import annotations

import copy
from typing import Any


def response_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """`response_format` for a reply; strict where the schema can be."""
    tight = copy.deepcopy(schema)
    strict = _tighten(tight)
    wanted = {"name": name, "schema": tight if strict else schema, "strict": strict}
    return {"type": "json_schema", "json_schema": wanted}


def _tighten(node: Any) -> bool:
    """Make every field required and no other possible, as strict schemas must be.

    False where that cannot be: an object whose keys are not known.
    """
    if isinstance(node, list):
        return all(_tighten(child) for child in node)
    if not isinstance(node, dict):
        return True
    node.pop("default", None)
    if node.get("type") == "object" or "properties" in node:
        if "properties" not in node:
            return False
        node["required"] = list(node["properties"])
        node["additionalProperties"] = False
        children = [*node["properties"].values()]
    else:
        children = [node[k] for k in ("items", "prefixItems", "anyOf", "allOf") if k in node]
    return all(_tighten(child) for child in [*children, *node.get("$defs", {}).values()])
