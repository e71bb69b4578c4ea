"""Judges certificates by revocation lists with cryptography: python3 lists.py DIR, a line "kind state verdict" for each cell."""
import sys
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

folder = sys.argv[1]


def certificate(name):
    with open(f"{folder}/{name}", "rb") as f:
        return x509.load_pem_x509_certificate(f.read())


issuer = certificate("authentication.pem")


def read(name):
    with open(f"{folder}/{name}.crl", "rb") as f:
        crl = x509.load_der_x509_crl(f.read())
    if not crl.is_signature_valid(issuer.public_key()) or crl.issuer != issuer.subject:
        raise ValueError("not signed by the CA")
    return crl


def extension(crl, kind):
    try:
        return crl.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def about(leaf, crl):
    """Whether the list speaks of the certificate, by its issuingDistributionPoint."""
    point = extension(crl, x509.IssuingDistributionPoint)
    if point is None:
        return True
    names = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0].full_name
    return point.critical and list(point.value.full_name) == list(names)


def judge(kind, state):
    leaf = certificate(state + ".pem")
    names = {"shard": [state + "-shard"], "delta": ["base", "delta"]}.get(kind, [kind])
    verdict, complete = "good", None
    for name in names:
        crl = read(name)
        indicator = extension(crl, x509.DeltaCRLIndicator)
        if not about(leaf, crl) or (indicator is None) != (name != "delta"):
            return "of something else"
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        if indicator is None:
            complete = number
        elif not indicator.critical or indicator.value.crl_number > complete or number <= complete:
            return "does not stand on the base"
        entry = crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
        if entry is None:
            continue
        try:
            reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        except x509.ExtensionNotFound:
            reason = None
        if kind != "delta" or name == "base":
            wanted = {"revoked": x509.ReasonFlags.key_compromise}.get(state, x509.ReasonFlags.certificate_hold)
            if reason != wanted:
                return f"wrong reason {reason}"
        verdict = "good" if reason == x509.ReasonFlags.remove_from_crl else "revoked"
    return verdict


for kind in ("full", "shard", "delta"):
    for state in ("good", "revoked", "held", "released"):
        try:
            print(kind, state, judge(kind, state))
        except Exception as e:  # told as the verdict
            print(kind, state, repr(e))
