"""The certificate that every proxy shows: one ECDSA key, made anew where it is missing."""

import subprocess

from . import tools
from .site import HOST

_DAYS = "30"


def make(directory):
    """The paths of certificate and key in the folder, and of one file with both, as HAProxy wants them."""
    certificate, key, both = (directory / name for name in ("tls.crt", "tls.key", "tls.pem"))
    if not both.exists():
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [tools.find("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", _DAYS, "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
             "-keyout", str(key), "-out", str(certificate)],
            check=True, capture_output=True)
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return certificate, key, both


def client_environment(directory):
    """What makes every client that uses OpenSSL offer one version and one cipher suite, so that all proxies agree on
    the same whatever they prefer themselves."""
    configuration = directory / "client.cnf"
    directory.mkdir(parents=True, exist_ok=True)
    configuration.write_text("""openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = offered
[offered]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
""")
    return {"OPENSSL_CONF": str(configuration)}
