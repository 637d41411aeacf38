"""Where tokens come from: Google's token endpoint and metadata server, on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.support.loopback import Answer, Asked, Loopback, error_answer, json_answer

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_WHOLE_HOUR_S = 3600.0
_KEY_BITS = 1024
"""Half of what Google makes: a key is checked whenever it is read, in an eighth of the time."""
_BAD_TIMES = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


@dataclass(frozen=True)
class Issued:
    """A token, and until when it is good."""

    token: str
    ends_s: float
    """On the monotonic clock."""
    scopes: str


class _Issuer(Loopback):
    """Gives out tokens and knows them again.

    `lifetime_s` is what clients are told, `valid_s` how long a token is really good.
    """

    def __init__(
        self, lifetime_s: float = _WHOLE_HOUR_S, valid_s: float | None = None, latency_s: float = 0
    ) -> None:
        super().__init__()
        self.lifetime_s = lifetime_s
        self.valid_s = valid_s
        self.latency_s = latency_s
        self.issued: list[Issued] = []

    def accepts(self, token: str) -> bool:
        """Tell whether a token was issued here and is still good."""
        now = time.monotonic()
        return any(each.token == token and now < each.ends_s for each in list(self.issued))

    def revoke(self) -> None:
        """Make every token issued so far worthless."""
        self.issued = []

    def _issue(self, scopes: str) -> str:
        valid_s = self.lifetime_s if self.valid_s is None else self.valid_s
        token = f"ya29.canary-{id(self):x}-{len(self.seen)}"
        self.issued.append(Issued(token, time.monotonic() + valid_s, scopes))
        return token

    def _granted(self, scopes: str) -> Answer:
        document = {
            "access_token": self._issue(scopes),
            "expires_in": int(self.lifetime_s),
            "token_type": "Bearer",
        }
        return json_answer(document)


class TokenServer(_Issuer):
    """`POST /token` of OAuth 2 for service accounts; impersonation beside it.

    Assertions are really verified: signature, audience, times. Its clock may be wrong.
    """

    def __init__(
        self,
        lifetime_s: float = _WHOLE_HOUR_S,
        valid_s: float | None = None,
        latency_s: float = 0,
        clock_skew_s: float = 0,
        tolerance_s: float = 300,
    ) -> None:
        """`clock_skew_s` is how far its clock goes ahead, `tolerance_s` how much it forgives."""
        super().__init__(lifetime_s, valid_s, latency_s)
        self.clock_skew_s = clock_skew_s
        self.tolerance_s = tolerance_s
        self._keys: dict[str, rsa.RSAPublicKey] = {}

    @property
    def token_uri(self) -> str:
        """Where tokens are asked for."""
        return f"{self.url}/token"

    def write_service_account(
        self,
        path: Path,
        email: str = "tiles@stand-in.iam.gserviceaccount.com",
        project: str = "stand-in",
    ) -> Path:
        """Write a key file with a new RSA key that this endpoint knows; return its path."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        self._keys[email] = key.public_key()
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        document = {
            "type": "service_account",
            "project_id": project,
            "private_key_id": f"{id(key):040x}",
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": "100000000000000000001",
            "token_uri": self.token_uri,
        }
        path.write_text(json.dumps(document))
        return path

    def kind(self, asked: Asked) -> str:
        """`token` or `impersonation`."""
        return "impersonation" if asked.path.endswith(":generateAccessToken") else "token"

    async def honest(self, asked: Asked) -> Answer:
        """Verify what is presented and give a token for it."""
        await asyncio.sleep(self.latency_s)
        if asked.kind == "impersonation":
            return self._impersonated(asked)
        form = {name: values[-1] for name, values in parse_qs(asked.body.decode()).items()}
        if asked.method != "POST" or form.get("grant_type") != JWT_BEARER:
            return _refusal("unsupported_grant_type", f"Invalid grant_type: {form!r:.40}")
        try:
            claims = self._verified(form.get("assertion", ""))
        except (ValueError, KeyError, InvalidSignature) as exc:
            return _refusal("invalid_grant", str(exc) or "Invalid JWT Signature.")
        return self._granted(str(claims.get("scope", "")))

    def _verified(self, assertion: str) -> dict[str, Any]:
        signed, _, signature = assertion.rpartition(".")
        claims: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
        if claims["iss"] not in self._keys:
            raise ValueError("Invalid grant: account not found")
        key = self._keys[claims["iss"]]
        key.verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        if claims["aud"] not in (self.token_uri, "https://oauth2.googleapis.com/token"):
            raise ValueError("Invalid JWT: Failed audience check.")
        now, slack = time.time() + self.clock_skew_s, self.tolerance_s
        if not claims["iat"] - slack <= now < claims["exp"] + slack:
            raise ValueError(_BAD_TIMES)
        return claims

    def _impersonated(self, asked: Asked) -> Answer:
        if not self.accepts(bearer(asked)):
            return error_answer(401, "Request had invalid credentials.", "UNAUTHENTICATED")
        token = self._issue(" ".join(asked.json().get("scope", [])))
        ends = time.gmtime(time.time() + self.lifetime_s)
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", ends)
        return json_answer({"accessToken": token, "expireTime": expires})


class MetadataServer(_Issuer):
    """The metadata server of a virtual machine; set GCE_METADATA_HOST and _IP to `host`."""

    email = "machine@stand-in.iam.gserviceaccount.com"
    project = "stand-in"

    @property
    def host(self) -> str:
        """Host and port, as GCE_METADATA_HOST wants them."""
        return f"127.0.0.1:{self.port}"

    def kind(self, asked: Asked) -> str:
        """The last part of the path."""
        return asked.path.rstrip("/").rpartition("/")[2]

    async def honest(self, asked: Asked) -> Answer:
        """Answer what google-auth asks."""
        await asyncio.sleep(self.latency_s)
        flavor = {"metadata-flavor": "Google"}
        if asked.path == "/":
            return Answer(b"computeMetadata/", headers=flavor)
        if asked.headers.get("metadata-flavor") != "Google":
            return Answer(b"Missing Metadata-Flavor:Google header.", 403)
        path = asked.path.removeprefix("/computeMetadata/v1/").rstrip("/")
        if path.startswith("instance/service-accounts/") and path.endswith("/token"):
            granted = self._granted(asked.query.get("scopes", ""))
            return Answer(granted.body, 200, {**granted.headers, **flavor})
        if path.startswith("instance/service-accounts/"):
            scopes = ["https://www.googleapis.com/auth/cloud-platform"]
            document = {"aliases": ["default"], "email": self.email, "scopes": scopes}
            return json_answer(document, headers=flavor)
        plain = {"project/project-id": self.project, "universe/universe-domain": "googleapis.com"}
        if path in plain:
            return Answer(plain[path].encode(), 200, {"content-type": "application/text", **flavor})
        return Answer(b"not found", 404, flavor)


def bearer(asked: Asked) -> str:
    """Return the token a request carries, or nothing."""
    scheme, _, token = asked.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _refusal(error: str, description: str) -> Answer:
    return json_answer({"error": error, "error_description": description}, 400)
