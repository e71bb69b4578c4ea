package policies

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Attestation is what a card's maker vouches for: this key was made inside
// that card and cannot leave it.
type Attestation struct {
	Serial      string  // the card's, decimal
	Slot        byte    // 0x9A, 0x9C (SP 800-78-5 table 6)
	Firmware    [3]byte // major, minor, patch
	PINPolicy   byte    // 1 never, 2 once a session, 3 at each use
	TouchPolicy byte    // 1 never, 2 at each use, 3 once in 15 seconds
	KeyDigest   [32]byte
}

// The extensions of an attestation, in the form one maker gave them and others
// took over.
const (
	oidAttestedFirmware = "1.3.6.1.4.1.41482.3.3"
	oidAttestedSerial   = "1.3.6.1.4.1.41482.3.7"
	oidAttestedPolicies = "1.3.6.1.4.1.41482.3.8"

	attestedName      = "YubiKey PIV Attestation "
	maxAttestedChain  = 5
	clauseAttestation = "the maker's attestation format; FIPS 201-3 §4.2.2, keys are made on the card"
)

// VerifyAttestation believes a chain of DER certificates, the attestation
// first, if it leads to one of the roots at that time. No root is built in:
// with an empty or nil pool nothing is believed. It refuses with a *Refusal.
func VerifyAttestation(chain [][]byte, roots *x509.CertPool, now time.Time) (Attestation, error) {
	if len(chain) == 0 || len(chain) > maxAttestedChain {
		return Attestation{}, refuse("attestation-chain", clauseAttestation, "%d certificates", len(chain))
	}
	if roots == nil {
		roots = x509.NewCertPool() // or the system's would be asked
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	var leaf *x509.Certificate
	for i, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return Attestation{}, refuse("attestation-form", clauseAttestation, "certificate %d: %v", i+1, err)
		}
		if i == 0 {
			leaf = c
		} else {
			options.Intermediates.AddCert(c)
		}
	}
	if leaf.IsCA {
		return Attestation{}, refuse("attestation-form", clauseAttestation, "the first certificate is an authority, not a key's attestation")
	}
	if _, err := leaf.Verify(options); err != nil {
		return Attestation{}, refuse("attestation-trust", clauseAttestation, "%v", err)
	}
	a, problem := readAttestation(leaf)
	if problem != "" {
		return Attestation{}, refuse("attestation-form", clauseAttestation, "%s", problem)
	}
	return a, nil
}

func readAttestation(leaf *x509.Certificate) (a Attestation, problem string) {
	a.KeyDigest = KeyDigest(leaf.PublicKey)
	name, found := strings.CutPrefix(leaf.Subject.CommonName, attestedName)
	slot, err := strconv.ParseUint(name, 16, 8)
	if !found || err != nil {
		return a, fmt.Sprintf("CN %q names no slot", leaf.Subject.CommonName)
	}
	a.Slot = byte(slot)
	firmware, found := extension(leaf, oidAttestedFirmware)
	if !found || len(firmware.Value) != len(a.Firmware) {
		return a, "no firmware version"
	}
	a.Firmware = [3]byte(firmware.Value)
	serial, found := extension(leaf, oidAttestedSerial)
	var number int64
	if rest, err := asn1.Unmarshal(serial.Value, &number); !found || err != nil || len(rest) > 0 || number <= 0 {
		return a, "no serial number"
	}
	a.Serial = strconv.FormatInt(number, 10)
	policies, found := extension(leaf, oidAttestedPolicies)
	if !found || len(policies.Value) != 2 {
		return a, "no PIN policy"
	}
	a.PINPolicy, a.TouchPolicy = policies.Value[0], policies.Value[1]
	return a, ""
}

// PairAttestation judges the attestations of a pair together: one card, the
// sign-in key in slot 9A wanting the PIN, the signature key in 9C wanting it
// for each signature, two keys, and each the key of its certification request
// (digests as KeyDigest gives them). It refuses with a *Refusal.
func PairAttestation(authentication, signature Attestation, keys [2][32]byte) error {
	switch {
	case authentication.Serial != signature.Serial:
		return refuse("attestation-card", clauseAttestation, "two cards, %s and %s", authentication.Serial, signature.Serial)
	case authentication.Slot != 0x9A || signature.Slot != 0x9C:
		return refuse("attestation-slot", "SP 800-78-5 table 6", "slots %02x and %02x, want 9a and 9c", authentication.Slot, signature.Slot)
	case authentication.PINPolicy != 2 && authentication.PINPolicy != 3:
		return refuse("attestation-pin", "SP 800-73-4 part 1 table 4b", "the sign-in key works without the PIN")
	case signature.PINPolicy != 3:
		return refuse("attestation-pin", "SP 800-73-4 part 1 §3.1.3", "the signature key does not want the PIN each time")
	case authentication.KeyDigest != keys[0] || signature.KeyDigest != keys[1]:
		return refuse("attestation-key", clauseAttestation, "the attestation is of another key than the request")
	case keys[0] == keys[1]:
		return refuse("attestation-key", clauseAttestation, "one key for both certificates")
	}
	return nil
}
