"""
Policy files for benchmarks: many policies over every billing code, with nesting, that no job of an idle fleet breaks soon.
"""

from guard.simulator import FLAVORS


def many(count: int) -> str:
    """
    Return the text of one file with so many policies, all in observe mode and with a deadline far away.
    """
    codes = sorted({flavor.code for flavor in FLAVORS.values() if flavor.code is not None})
    parts = ["policies:"]
    for index in range(count):
        parts += [f"  - name: rule-{index}", "    mode: observe", "    match:"]
        if index % 3:
            parts.append(f"      billing_code: {codes[index % len(codes)]}")
        if index % 4 == 0:
            parts += ["      any:", "        - node_count: {gte: 1}", f'        - name: {{glob: "*-{index}"}}']
        if index % 4 == 1:
            parts += ["      not:", f"        user: user-{index}"]
        parts.append(f"      duration: {{gt: {30 + index}h}}")
    return "\n".join([*parts, ""])
