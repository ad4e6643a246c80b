"""
What YAML 1.2 makes of a file, as plain values: the way an editor sees it when it applies a JSON Schema.
"""

from guard.core.yamlnode import Kind, Listing, Mapping, read_yaml


def plain_values(content):
    """
    Return the values of a file without an error in its YAML.
    """
    document = read_yaml(content)
    assert document.problems == ()
    return _plain(document.root)


def _plain(node):
    match node:
        case Mapping():
            return {key.text: _plain(value) for key, value in node.entries}
        case Listing():
            return [_plain(item) for item in node.items]
    match node.kind:
        case Kind.NOTHING:
            return None
        case Kind.BOOLEAN:
            return node.text.lower() == "true"
        case Kind.INTEGER:
            return int(node.text, 0 if node.text.startswith(("0x", "0o")) else 10)
        case Kind.DECIMAL:
            return float(node.text)
        case Kind.NOT_FINITE:
            return float(node.text.lower().replace(".", ""))
        case _:
            return node.text
