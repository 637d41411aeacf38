import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials

from tests.support.loopback import Answer, Asked, Loopback, json_answer
from tests.support.standin import MetadataServer, TokenServer
from tileserver.earthengine.credentials import describe, find_credentials
from tileserver.earthengine.tokens import HttpxRequest
from tileserver.errors import AuthenticationFailed

EMAIL = "tiles@stand-in.iam.gserviceaccount.com"
TARGET = "pixels@stand-in.iam.gserviceaccount.com"
IMPERSONATION = (
    f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{TARGET}"
    ":generateAccessToken"
)
SECRET = "canary-of-the-key"  # pragma: allowlist secret


class Users(Loopback):
    """A token endpoint for people who signed in."""

    async def honest(self, asked: Asked) -> Answer:
        return json_answer({"access_token": "ya29.canary-user", "expires_in": 3600})


class Rerouted(httpx.HTTPTransport):
    """Takes every request to one server on loopback, where Google's own names lead elsewhere."""

    def __init__(self, server: Loopback) -> None:
        super().__init__()
        self.server = server

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self.server.port)
        request.url = url
        return super().handle_request(request)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Google's tools find nothing of this machine's own."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "stand-in")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


def user(account: str) -> dict[str, str]:
    return {
        "type": "authorized_user",
        # gcloud's own: google-auth warns of it, which is an error here.
        "client_id": "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com",
        "client_secret": SECRET,
        "refresh_token": f"1//{SECRET}",
        "account": account,
    }


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_service_accounts_key_is_found_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TokenServer() as tokens:
        path = tokens.write_service_account(tmp_path / "key.json", EMAIL)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        credentials, description = find_credentials()
        assert description == f"service account {EMAIL}, by its key file"
        credentials.refresh(HttpxRequest())  # type: ignore[no-untyped-call]
        assert tokens.accepts(str(credentials.token))
        assert tokens.issued[0].scopes == "https://www.googleapis.com/auth/earthengine.readonly"


@pytest.mark.slow  # google-auth asks gcloud for the project.
@pytest.mark.parametrize(
    ("account", "description"),
    [
        ("me@example.org", "user account me@example.org, signed in with gcloud"),
        ("", "a user account, signed in with gcloud"),
    ],
)
def test_a_person_who_signed_in_with_gcloud_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    account: str,
    description: str,
) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    with Users() as server, httpx.Client(transport=Rerouted(server)) as client:
        document = user(account=account)
        write(tmp_path / "gcloud" / "application_default_credentials.json", document)
        credentials, found = find_credentials()
        assert found == description
        credentials.refresh(HttpxRequest(client))  # type: ignore[no-untyped-call]
        assert credentials.token == "ya29.canary-user"
        # What a person granted is fixed: to ask for other scopes would be refused.
        assert b"scope" not in server.seen[0].body
    # The project is named in the configuration: nobody needs to hear that there is none here.
    assert "project" not in caplog.text


def test_an_account_is_impersonated_with_the_key_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TokenServer() as tokens, httpx.Client(transport=Rerouted(tokens)) as client:
        source = json.loads(tokens.write_service_account(tmp_path / "key.json", EMAIL).read_text())
        path = write(
            tmp_path / "impersonated.json",
            {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": IMPERSONATION,
                "source_credentials": source,
            },
        )
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        request = HttpxRequest(client)
        credentials, description = find_credentials(request=request)
        assert description == (
            f"service account {TARGET}, impersonated by service account {EMAIL}, by its key file"
        )
        credentials.refresh(request)  # type: ignore[no-untyped-call]
        assert tokens.accepts(str(credentials.token))
        assert [asked.kind for asked in tokens.seen] == ["token", "impersonation"]
        assert tokens.issued[-1].scopes.endswith("earthengine.readonly")


def find_in_a_process(**environment: str) -> subprocess.CompletedProcess[str]:
    """Find credentials where google-auth has not yet read its environment."""
    program = (
        "from tileserver.earthengine.credentials import find_credentials\n"
        "from tileserver.errors import AuthenticationFailed\n"
        "try:\n"
        "    credentials, description = find_credentials()\n"
        "    print(description, bool(credentials.token))\n"
        "except AuthenticationFailed as exc:\n"
        "    print(exc)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_a_machines_own_account_is_found_by_its_metadata_server() -> None:
    with MetadataServer() as server:
        found = find_in_a_process(GCE_METADATA_HOST=server.host, GCE_METADATA_IP=server.host)
    expected = f"service account {server.email}, by the metadata server of this machine True\n"
    assert (found.stdout, found.stderr) == (expected, "")


def test_where_there_are_no_credentials_the_sentence_that_helps_is_said() -> None:
    found = find_in_a_process(NO_GCE_CHECK="true")
    assert "gcloud auth application-default login" in found.stdout
    assert "GOOGLE_APPLICATION_CREDENTIALS" in found.stdout
    assert found.stderr == ""


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (None, "does not exist"),
        (f"{{not JSON {SECRET}", "is not one of a service account"),
        ("", "is not one of a service account"),
        ("[]", "is not one of a service account"),
        ({"type": SECRET}, "is not one of a service account"),
        ({"type": "service_account", "private_key": SECRET}, "is not one of a service account"),
        (
            {
                "type": "service_account",
                "client_email": EMAIL,
                "token_uri": "x",
                "private_key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}",  # pragma: allowlist secret
            },
            "is not one of a service account",
        ),
        ({"type": "authorized_user", "refresh_token": SECRET}, "is not one of a service account"),
        (
            {"type": "impersonated_service_account", "source_credentials": {"type": SECRET}},
            "is not one of a service account",
        ),
        ({"type": "impersonated_service_account"}, "is not one of a service account"),
        ({"type": "external_account"}, "is not one of a service account"),
    ],
    ids=range(11),
)
def test_a_file_that_is_no_key_is_refused_without_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: Any, why: str
) -> None:
    path = tmp_path / "key.json"
    if document is not None:
        write(path, document)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(AuthenticationFailed, match=why) as raised:
        find_credentials()
    assert SECRET not in f"{raised.value!r}"
    assert str(tmp_path) not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path))
    with pytest.raises(AuthenticationFailed, match="cannot be read"):
        find_credentials()


def test_credentials_of_another_kind_are_named_by_it() -> None:
    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
    assert describe(anonymous) == "credentials of the kind AnonymousCredentials"


def test_credentials_of_another_cloud_are_named(tmp_path: Path) -> None:
    from google.auth import identity_pool

    subject = write(tmp_path / "subject", "token")
    federated = identity_pool.Credentials(  # type: ignore[no-untyped-call]
        audience="//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        token_url="https://sts.googleapis.com/v1/token",
        credential_source={"file": str(subject)},
        service_account_impersonation_url=IMPERSONATION,
    )
    found = describe(federated)
    assert found == f"workload identity federation as service account {TARGET}"
