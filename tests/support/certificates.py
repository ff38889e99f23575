"""Certificates as the openssl command makes them."""

import functools
import pathlib
import subprocess
import tempfile

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
RSA = ["-newkey", "rsa:2048"]


class Pair:
    """A certificate and its key, as PEM."""

    def __init__(self, cert, key):
        self.cert = cert
        self.key = key


def run(*words, within):
    done = subprocess.run(["openssl", *words], cwd=within, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {' '.join(words)}: {done.stderr}"
    return done.stdout


@functools.cache
def certificate(name="a.test", key="ec", ca=False, number=0):
    """A pair that vouches for itself; another one for another `number`."""
    with tempfile.TemporaryDirectory() as folder:
        extensions = ["-addext", f"subjectAltName=DNS:{name}"]
        # `openssl req -x509` makes an authority unless told otherwise.
        extensions += ["-addext", "basicConstraints=critical,CA:" + ("TRUE" if ca else "FALSE")]
        run("req", "-x509", *(EC if key == "ec" else RSA), "-nodes", "-keyout", "key", "-out", "cert", "-subj", f"/CN={name}",
            "-days", "3650", *extensions, within=folder)
        return Pair(*(pathlib.Path(folder, f).read_text() for f in ("cert", "key")))


@functools.cache
def issued(name="a.test", authority="authority.test", key="ec"):
    """A pair that the authority vouches for."""
    issuer = certificate(authority, ca=True)
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "ca").write_text(issuer.cert)
        pathlib.Path(folder, "ca.key").write_text(issuer.key)
        pathlib.Path(folder, "extensions").write_text(f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n")
        run("req", "-new", *(EC if key == "ec" else RSA), "-nodes", "-keyout", "key", "-out", "request", "-subj", f"/CN={name}", within=folder)
        run("x509", "-req", "-in", "request", "-CA", "ca", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "extensions",
            "-out", "cert", within=folder)
        return Pair(*(pathlib.Path(folder, f).read_text() for f in ("cert", "key")))


@functools.cache
def signed(name, issuer, ca=False, start="20200101000000Z", end="20990101000000Z"):
    """A pair that `issuer` (another pair) vouches for, an authority itself if `ca`; `cert` is the certificate alone."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "ca").write_text(issuer.cert)
        pathlib.Path(folder, "ca.key").write_text(issuer.key)
        pathlib.Path(folder, "index").write_text("")
        pathlib.Path(folder, "config").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n"
            f"[p]\ncommonName=supplied\n[e]\nbasicConstraints=critical,CA:{'TRUE' if ca else 'FALSE'}\nsubjectAltName=DNS:{name}\n")
        run("req", "-new", *EC, "-nodes", "-keyout", "key", "-out", "request", "-subj", f"/CN={name}", within=folder)
        run("ca", "-config", "config", "-batch", "-cert", "ca", "-keyfile", "ca.key", "-in", "request", "-out", "cert", "-notext",
            "-startdate", start, "-enddate", end, within=folder)
        return Pair(*(pathlib.Path(folder, f).read_text() for f in ("cert", "key")))


@functools.cache
def expired_authority():
    """An authority whose time was over in 2021."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "index").write_text("")
        pathlib.Path(folder, "config").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n"
            "[p]\ncommonName=supplied\n[e]\nbasicConstraints=critical,CA:TRUE\n")
        run("req", "-new", *EC, "-nodes", "-keyout", "key", "-out", "request", "-subj", "/CN=old.test", within=folder)
        run("ca", "-config", "config", "-batch", "-selfsign", "-keyfile", "key", "-in", "request", "-out", "cert", "-notext",
            "-startdate", "20200101000000Z", "-enddate", "20210101000000Z", within=folder)
        return pathlib.Path(folder, "cert").read_text()


def digest(pem):
    """SHA-256 of a certificate, as openssl says it."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "cert").write_text(pem)
        printed = run("x509", "-in", "cert", "-noout", "-fingerprint", "-sha256", within=folder)
    return printed.strip().split("=")[1].replace(":", "").lower()
