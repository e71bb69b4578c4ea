package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cardinal/internal/keys"
)

// openSigners opens the keys of the CAs that signed the moulds, with the
// passphrase in the file that CARDINAL_PASSPHRASE_FILE names.
func openSigners(ctx context.Context, folder string, moulds [2]*mould) error {
	pass, err := os.ReadFile(os.Getenv("CARDINAL_PASSPHRASE_FILE"))
	if err != nil {
		return fmt.Errorf("reading the passphrase: %w", err)
	}
	line, _, _ := strings.Cut(string(pass), "\n")
	for i, name := range []string{"authentication", "signing"} {
		if moulds[i].signer, err = keys.Open(ctx, "file:"+filepath.Join(folder, name+".key"), []byte(line)); err != nil {
			return err
		}
	}
	return nil
}

var errOtherHash = errors.New("a mould signed with another algorithm than ECDSA with SHA-256")

// signed signs the to-be-signed part of a certificate anew (RFC 5280 §4.1).
func (m *mould) signed(der []byte) ([]byte, error) {
	if m.of.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return nil, errOtherHash
	}
	var c struct {
		Content, Algorithm asn1.RawValue
		Signature          asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(c.Content.FullBytes)
	signature, err := m.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	c.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return asn1.Marshal(c)
}
