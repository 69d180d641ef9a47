"""`GET /object_info`: the known nodes, as ComfyUI describes its own."""

from __future__ import annotations

from typing import Any

from visioncraft_comfyui_api.graph.lists import Lists
from visioncraft_comfyui_api.graph.spec import Input, NodeClass


def described(name: str, node: NodeClass, lists: Lists) -> dict[str, Any]:
    """One class of nodes.

    Args:
        name: Of the class.
        node: Its description.
        lists: What is installed.
    """
    sections: dict[str, dict[str, Any]] = {"required": {}}
    for key, each in node.inputs.items():
        sections.setdefault("optional" if each.optional else "required", {})[key] = described_input(each, lists)
    if node.hidden:
        sections["hidden"] = {key: key.upper() for key in node.hidden}
    return {
        "input": sections,
        "input_order": {section: list(inputs) for section, inputs in sections.items()},
        "is_input_list": False,
        "output": list(node.outputs.values()),
        "output_is_list": [False] * len(node.outputs),
        "output_name": list(node.outputs),
        "output_tooltips": [None] * len(node.outputs),
        "name": name,
        "display_name": node.title,
        "description": "",
        "python_module": "nodes",
        "category": node.category,
        "output_node": node.saves is not None,
        "deprecated": False,
        "experimental": False,
        "api_node": False,
    }


def described_input(each: Input, lists: Lists) -> list[Any]:
    """One input: its type, or its values, and what frontends need to show it."""
    if each.kind == "COMBO":
        values = list(each.choices) if each.listed is None else lists.values(each.listed)
        facts = {"image_upload": True} if each.listed == "images" else {}
        return [values, {"default": each.default, **facts} if each.default is not None else facts]
    found = {"default": each.default, "min": each.minimum, "max": each.maximum, "step": each.step}
    facts = {key: value for key, value in found.items() if value is not None}
    if each.kind == "STRING":
        facts["multiline"] = not each.default
    return [each.kind] if each.is_link else [each.kind, facts]
