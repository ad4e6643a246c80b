"""
The stem of a job's name: what stays when the same work is submitted again.
"""

import re

_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile("[0-9a-fA-F]+")
_MOMENT = re.compile("[0-9]{4,8}[Tt][0-9]{2,6}[Zz]?")
_UUID_LENGTH = 36
# Shorter ones, and those without a digit, may be words such as "facade".
SHORTEST_HEX = 6
SHORTEST_HEX_OF_LETTERS = 8


def split_name(name: str) -> tuple[str, str]:
    """
    Return the stem of a name and the rest of it: trailing digits, dates, hex and uuid parts with what parts them.

    The two add up to the name; a name of such parts alone has an empty stem. Takes linear time, whatever the name.
    """
    end = len(name)
    while end:
        bare = end
        while bare and not name[bare - 1].isalnum():
            bare -= 1
        begin = _begin_of_number(name, bare)
        if begin == bare:
            break
        end = begin
    # What parts the stem from the rest belongs to the rest, if there is one.
    while 0 < end < len(name) and not name[end - 1].isalnum():
        end -= 1
    return name[:end], name[end:]


def _begin_of_number(name: str, end: int) -> int:
    """
    Return where the number, date, hex or uuid part that ends there begins; *end* itself if none does.
    """
    uuid = end - _UUID_LENGTH
    if uuid >= 0 and _UUID.fullmatch(name, uuid, end) and (uuid == 0 or not name[uuid - 1].isalnum()):
        return uuid
    begin = end
    while begin and name[begin - 1].isalnum():
        begin -= 1
    if begin == end:
        return end
    if _MOMENT.fullmatch(name, begin, end) or _is_hex(name[begin:end]):
        return begin
    digits = end
    while digits > begin and name[digits - 1].isdigit():
        digits -= 1
    return digits


def _is_hex(part: str) -> bool:
    if not _HEX.fullmatch(part):
        return False
    shortest = SHORTEST_HEX if any(char.isdigit() for char in part) else SHORTEST_HEX_OF_LETTERS
    return len(part) >= shortest
