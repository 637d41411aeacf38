"""Certificates for loopback: a good one, and those a client must refuse."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class TlsFlaw(StrEnum):
    """What is wrong with a certificate."""

    NONE = "none"
    EXPIRED = "expired"
    WRONG_HOST = "wrong_host"
    SELF_SIGNED = "self_signed"


@dataclass(frozen=True)
class Authority:
    """One who signs certificates; a client that trusts `file` trusts what it signed."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    file: Path
    """Its own certificate, PEM."""


def make_authority(folder: Path) -> Authority:
    """Make an authority whose certificate lies in a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("stand-in authority")
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(key, name, name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "authority.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, name, file)


def tls_context(authority: Authority, flaw: TlsFlaw = TlsFlaw.NONE) -> ssl.SSLContext:
    """Return a server's context for 127.0.0.1, right but for one flaw."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name("stand-in")
    is_own = flaw is TlsFlaw.SELF_SIGNED
    issuer, signer = (subject, key) if is_own else (authority.name, authority.key)
    host: x509.GeneralName = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    if flaw is TlsFlaw.WRONG_HOST:
        host = x509.DNSName("elsewhere.invalid")
    age = timedelta(days=30 if flaw is TlsFlaw.EXPIRED else 0)
    certificate = (
        _builder(key, subject, issuer, age)
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    file = authority.file.with_name(f"server-{flaw}.pem")
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    age: timedelta = timedelta(),
) -> x509.CertificateBuilder:
    now = datetime.now(UTC) - age
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
