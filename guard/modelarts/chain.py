"""
Where a target's credentials are looked for, in which order, and what a person is told if there are none.

A section of the credentials file that the target names comes alone. Else: the SDK's environment names, an IAM user under the
Terraform provider's names, the SDK's credentials file, the ECS metadata.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from guard.errors import BadInput, NeedsPerson, TargetError
from guard.modelarts.credentials import AccessKey, Credentials, from_environment, from_file
from guard.modelarts.endpoints import iam_endpoint
from guard.modelarts.exchange import Exchange
from guard.modelarts.iam import EARLY_S as TOKEN_EARLY_S
from guard.modelarts.iam import IamTokens, IamUser, user_from_environment
from guard.modelarts.metadata import EARLY_S as KEY_EARLY_S
from guard.modelarts.metadata import EcsMetadata

FILE_NAME = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
IAM_ENDPOINT = "HUAWEICLOUD_SDK_IAM_ENDPOINT"
DEFAULT_SECTION = "basic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    For whom and where credentials are looked for; *section* is what the target's settings name.
    """

    environment: Mapping[str, str]
    region: str
    project_id: str
    section: str | None = None


async def find_credentials(place: Place, web: Exchange, *, link_local: Exchange) -> Credentials:
    """
    Return the credentials of the first source that has some, or raise ``BadInput`` that says what to do.

    *web* reaches IAM, through a proxy if need be; *link_local* reaches the ECS metadata and must not use one.
    """
    now = web.clock.now
    if place.section is None:
        key = from_environment(place.environment)
        if key is not None:
            return await _lasting(lambda: key, web, "environment")
        user = user_from_environment(place.environment)
        if user is not None:
            return _of_user(place, web, user)
    path = _file(place)
    if path is not None:
        section = place.section or DEFAULT_SECTION
        return await _lasting(lambda: from_file(path, section), web, f"file/{section}")
    metadata = Credentials(EcsMetadata(link_local).fetch, now, identity="ecs-metadata", early_s=KEY_EARLY_S)
    try:
        await metadata.current()
    except TargetError as error:
        hint = str(error) if isinstance(error, NeedsPerson) else "this is no ECS whose metadata answers"
        raise BadInput(
            "no credentials: set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or HW_USER_NAME, HW_USER_PASSWORD and "
            f"HW_DOMAIN_NAME of an IAM user, or write ~/.huaweicloud/credentials, or run on an ECS with an agency ({hint})"
        ) from None
    return metadata


async def _lasting(read: Callable[[], AccessKey], web: Exchange, identity: str) -> Credentials:
    async def fetch() -> AccessKey:
        return read()

    credentials = Credentials(fetch, web.clock.now, identity=identity)
    await credentials.current()
    return credentials


def _of_user(place: Place, web: Exchange, user: IamUser) -> Credentials:
    endpoint = iam_endpoint(place.region, place.environment.get(IAM_ENDPOINT) or None)
    tokens = IamTokens(web, user, endpoint=endpoint, project_id=place.project_id)
    return Credentials(tokens.fetch, web.clock.now, identity=f"iam/{user.domain}/{user.user}", early_s=TOKEN_EARLY_S)


def _file(place: Place) -> Path | None:
    named, home = place.environment.get(FILE_NAME, ""), place.environment.get("HOME", "")
    if named:
        return Path(named)
    path = Path(home) / ".huaweicloud" / "credentials" if home else None
    if place.section is not None and (path is None or not path.exists()):
        raise BadInput(f"section {place.section!r} of a credentials file is wanted, and there is none; set {FILE_NAME}")
    return path if path is not None and path.exists() else None
