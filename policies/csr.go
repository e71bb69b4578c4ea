package policies

import (
	"crypto"
	"crypto/x509"
)

// maxCSR is far above what RSA 4096 with a few attributes needs.
const maxCSR = 16 << 10

// ProveCSR takes the public key out of a DER certification request (RFC 2986)
// after checking that whoever made it holds the private key and that the key is
// of a kind certified here. Every name and attribute in it is ignored: names
// come from the register. It refuses with a *Refusal.
func ProveCSR(der []byte) (crypto.PublicKey, error) {
	const clause = "RFC 2986 §4.2"
	if len(der) > maxCSR {
		return nil, refuse("csr-size", clause, "%d bytes, at most %d", len(der), maxCSR)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, refuse("csr-form", "RFC 2986 §4", "not a certification request: %v", err)
	}
	if KeyKind(request.PublicKey) == "" {
		return nil, refuse("key-kind", "FIPS 186-5; SP 800-78-5 table 1", "%s is not a kind of key certified here", describeKey(request.PublicKey))
	}
	switch request.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
	default:
		return nil, refuse("csr-algorithm", "SP 800-131A rev. 2 §9", "%s does not prove a key", request.SignatureAlgorithm)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, refuse("csr-proof", clause, "the signature is not the key's own")
	}
	return request.PublicKey, nil
}
