"""
One bad policy file: its content, every error of it, and whether an editor sees that with the JSON Schema.

An error is written ``line:column [policy] message``, with the file in front where there are several. Without *unseen*
the schema refuses the values of the file too; *unseen* says why it cannot.
"""

from dataclasses import dataclass

YAML = "it is no YAML, or YAML that policy files may not use, so that there are no values to judge"
TWO_PLACES = "a schema does not compare two places"
PATTERN = "a schema does not compile patterns"
CALENDAR = "a schema has no calendar"
LENGTH = "a schema sees a number, not how it is written"
JSON = "JSON Schema, or its implementation in Python, takes it for something else"


@dataclass(frozen=True, init=False)
class Bad:
    """
    A row of the table.
    """

    id: str
    content: str | bytes | list[str]
    errors: tuple[str, ...]
    unseen: str

    def __init__(self, name, content, *errors, unseen=""):
        for key, value in (("id", name), ("content", content), ("errors", errors), ("unseen", unseen)):
            object.__setattr__(self, key, value)

    @property
    def files(self):
        """
        The files a.yaml, b.yaml and so on as the loader takes them.
        """
        contents = self.content if isinstance(self.content, list) else [self.content]
        raw = [one if isinstance(one, bytes) else one.encode() for one in contents]
        return [(f"{letter}.yaml", one) for letter, one in zip("abc", raw, strict=False)]


def match(written):
    """
    Return a file with one policy `p` whose match begins at 3:10.
    """
    return f"policies:\n- name: p\n  match: {written}\n"


def block(written):
    """
    Return a file with one policy `p` whose match is a block from line 4 on.
    """
    return f"policies:\n- name: p\n  match:\n{written}"


def policy(written):
    """
    Return a file with one policy `p` that has one more entry, at 4:3.
    """
    return f"policies:\n- name: p\n  match: {{user: a}}\n  {written}\n"


def exemption(written):
    """
    Return a file with one exemption `e` whose last entry, at 6:3 or as a sixth one at 7:3, is this.
    """
    entries = {"name": "e", "match": "{user: a}", "reason": "r", "owner": "o", "until": "2026-12-31"}
    entries.pop(written.partition(":")[0], None)
    return "exemptions:\n- " + "".join(f"{key}: {value}\n  " for key, value in entries.items()) + f"{written}\n"


def until(written):
    """
    Return a file with one exemption `e` whose end stands at 6:10.
    """
    return exemption(f"until: {written}")
