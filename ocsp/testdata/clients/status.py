"""Asks by python's cryptography: for each line "NAME CA METHOD NONCE HASH" on standard input one line of verdict."""
import base64
import sys
import urllib.parse
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

folder, url = sys.argv[1:3]
digests = {"SHA-1": hashes.SHA1(), "SHA-256": hashes.SHA256()}


def read(name):
    with open(f"{folder}/{name}.der", "rb") as file:
        return x509.load_der_x509_certificate(file.read())


def fetch(method, der):
    if method == "GET":
        request = urllib.request.Request(url + "/" + urllib.parse.quote(base64.b64encode(der).decode(), safe=""))
    else:
        request = urllib.request.Request(url, data=der, headers={"Content-Type": "application/ocsp-request"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        if answer.headers["Content-Type"] != "application/ocsp-response":
            raise ValueError(answer.headers["Content-Type"])
        return ocsp.load_der_ocsp_response(answer.read())


def judge(name, authority, method, nonce, digest):
    leaf, issuer = read(name), read(authority)
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, digests[digest])
    value = None
    if nonce != "none":
        value = bytes(range(1, int(nonce) + 1))
        builder = builder.add_extension(x509.OCSPNonce(value), critical=False)
    request = builder.build().public_bytes(serialization.Encoding.DER)
    if value is not None and value not in request:
        raise ValueError("the nonce was not sent as it is")
    answer = fetch(method, request)
    if answer.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        return {"MALFORMED_REQUEST": "malformed"}.get(answer.response_status.name, answer.response_status.name.lower())
    signer = answer.certificates[0]
    issuer.public_key().verify(signer.signature, signer.tbs_certificate_bytes, ec.ECDSA(signer.signature_hash_algorithm))
    signer.public_key().verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(answer.signature_hash_algorithm))
    if answer.serial_number != leaf.serial_number:
        raise ValueError("it is about another certificate")
    echoed = [e.value.nonce for e in answer.extensions if isinstance(e.value, x509.OCSPNonce)]
    if echoed != ([] if value is None else [value]):
        raise ValueError(f"nonce {value} echoed as {echoed}")
    return answer.certificate_status.name.lower()


for line in sys.stdin:
    try:
        print(judge(*line.split()), flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)
