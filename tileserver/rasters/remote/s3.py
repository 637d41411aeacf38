"""Requests signed as Amazon S3 wants them, with the credentials that botocore finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tileserver.errors import ConfigError, UnreadableRaster

_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class AwsSigner:
    """Signs GETs; equal signers share their credentials."""

    region: str = ""
    """Empty: that of the profile, or else us-east-1."""
    profile: str | None = None
    key_id: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    """With `key_id`, used instead of botocore's credentials."""
    is_anonymous: bool = False
    payer: str = ""
    """Value of x-amz-request-payer: "requester", or empty for none."""

    def __call__(self, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers with a signature; raise UnreadableRaster without credentials."""
        if self.payer:
            headers = {**headers, "x-amz-request-payer": self.payer}
        if self.is_anonymous:
            return headers
        # Late, as it costs a tenth of a second and few servers need it.
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method="GET", url=url, headers=dict(headers))
        S3SigV4Auth(self._credentials(), "s3", self.region_or_default()).add_auth(request)
        return {name: str(value) for name, value in request.headers.items()}

    def region_or_default(self) -> str:
        """Return the region, looked up in the profile if it was not given."""
        if self.region or self.is_anonymous:
            return self.region or _DEFAULT_REGION
        from botocore.exceptions import BotoCoreError

        try:
            return _session(self.profile).get_config_variable("region") or _DEFAULT_REGION
        except BotoCoreError as exc:
            raise ConfigError(f"AWS_PROFILE: the profile cannot be used: {exc}") from exc

    def _credentials(self) -> Any:
        if self.key_id and self.secret:
            from botocore.credentials import ReadOnlyCredentials

            return ReadOnlyCredentials(self.key_id, self.secret, None)
        from botocore.exceptions import BotoCoreError

        try:
            found = _found(self.profile)
            frozen = found.get_frozen_credentials() if found else None
        except BotoCoreError as exc:
            raise UnreadableRaster("the AWS credentials cannot be used") from exc
        if frozen is None:
            _found.cache_clear()
            raise UnreadableRaster(
                "there are no AWS credentials; a public bucket needs AWS_NO_SIGN_REQUEST=YES"
            )
        return frozen


@lru_cache(maxsize=8)
def _session(profile: str | None) -> Any:
    from botocore.session import Session

    return Session(profile=profile)


@lru_cache(maxsize=8)
def _found(profile: str | None) -> Any:
    return _session(profile).get_credentials()
