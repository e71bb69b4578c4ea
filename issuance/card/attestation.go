package card

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"

	"cardinal/certs"
	"cardinal/internal/ber"
)

// AttestationRoot signs the attestation keys of simulated cards. It proves
// nothing about hardware: trust it only where simulated cards are meant.
type AttestationRoot struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// The life of attestation certificates: as makers do, longer than any card.
func attestationLife() (notBefore, notAfter time.Time) {
	return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
}

// NewAttestationRoot makes a root of its own (P-256).
func NewAttestationRoot() (*AttestationRoot, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an attestation root: %w", err)
	}
	notBefore, notAfter := attestationLife()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Simulated card attestation root"},
		NotBefore: notBefore, NotAfter: notAfter,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making an attestation root: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making an attestation root: %w", err)
	}
	return &AttestationRoot{certificate, key}, nil
}

// Certificate is what a server is told to trust.
func (r *AttestationRoot) Certificate() *x509.Certificate { return r.certificate }

// Save writes certificate and key as PEM into a new file of mode 0600.
func (r *AttestationRoot) Save(path string) error {
	der, err := x509.MarshalPKCS8PrivateKey(r.key)
	if err != nil {
		return fmt.Errorf("saving attestation root %s: %w", path, err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.certificate.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("saving attestation root: %w", err)
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// ReadAttestationRoot reads what Save wrote.
func ReadAttestationRoot(path string) (*AttestationRoot, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading attestation root: %w", err)
	}
	var r AttestationRoot
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			r.certificate, err = x509.ParseCertificate(block.Bytes)
		case "PRIVATE KEY":
			r.key, err = parsePrivate(block.Bytes)
		}
		if err != nil {
			return nil, fmt.Errorf("reading attestation root %s: %w", path, err)
		}
	}
	if r.certificate == nil || r.key == nil {
		return nil, fmt.Errorf("reading attestation root %s: want a certificate and a key", path)
	}
	return &r, nil
}

// sign certifies a card's attestation key.
func (r *AttestationRoot) sign(serial uint32, public crypto.PublicKey) ([]byte, error) {
	notBefore, notAfter := attestationLife()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(serial)), Subject: pkix.Name{CommonName: fmt.Sprintf("Simulated card %d attestation", serial)},
		NotBefore: notBefore, NotAfter: notAfter,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, r.certificate, public, r.key)
	if err != nil {
		return nil, fmt.Errorf("certifying the attestation key of card %d: %w", serial, err)
	}
	return der, nil
}

// The extensions of an attestation, in the form one maker gave them and others
// took over.
const (
	oidAttestedVersion = "1.3.6.1.4.1.41482.3.3"
	oidAttestedSerial  = "1.3.6.1.4.1.41482.3.7"
	oidAttestedPolicy  = "1.3.6.1.4.1.41482.3.8"
	oidAttestedForm    = "1.3.6.1.4.1.41482.3.9"
)

// attest makes the certificate that says: this key was made in this slot.
func (s *state) attest(slot byte, key slotKey) ([]byte, error) {
	private, err := parsePrivate(key.Private)
	if err != nil {
		return nil, err
	}
	attester, err := parsePrivate(s.Attestation)
	if err != nil {
		return nil, err
	}
	der, err := find(s.Objects["5fff01"], 0x70)
	if err != nil {
		return nil, err
	}
	parent, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	serial, err := asn1.Marshal(int64(s.Serial))
	if err != nil {
		return nil, err
	}
	version := firmware()
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: fmt.Sprintf("YubiKey PIV Attestation %02x", slot)},
		NotBefore: parent.NotBefore, NotAfter: parent.NotAfter,
		ExtraExtensions: []pkix.Extension{
			{Id: certs.OID(oidAttestedVersion), Value: version[:]},
			{Id: certs.OID(oidAttestedSerial), Value: serial},
			{Id: certs.OID(oidAttestedPolicy), Value: []byte{key.PIN, key.Touch}},
			{Id: certs.OID(oidAttestedForm), Value: []byte{formFactor}},
		},
	}
	return x509.CreateCertificate(rand.Reader, template, parent, private.Public(), attester)
}

// certificateObject is SP 800-73-4 part 1 appendix A table 10.
func certificateObject(der []byte) []byte {
	object := ber.Append(nil, 0x70, der)
	object = ber.Append(object, 0x71, []byte{0})
	return ber.Append(object, 0xFE, nil)
}
