"""
What `helm test` runs: reads /readyz and /metrics of the guard at $URL, and fails with what they say.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request

# It only asks whether the guard answers; a certificate of the operator's own may be signed by anybody.
ANY = ssl._create_unverified_context()


def read(path: str) -> tuple[int, str]:
    """
    Return status and text of an endpoint.
    """
    tokens = os.environ.get("TOKEN", "").split()
    headers = {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}
    request = urllib.request.Request(os.environ["URL"] + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=ANY) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


status, said = read("/readyz")
sys.stdout.write(f"/readyz: {status}\n{said}\n")
if status != 200:
    sys.exit(1)
status, metrics = read("/metrics")
shown = [line for line in metrics.splitlines() if line.startswith(("costguard_build_info{", "costguard_armed "))]
sys.stdout.write(f"/metrics: {status}\n" + "".join(f"{line}\n" for line in shown))
sys.exit(0 if status == 200 and len(shown) == 2 else 1)
