// Package keys is where private keys live. A URI names a key and where it is
// kept; [Open] and [Create] turn it into a crypto.Signer, and nobody above sees
// more than that.
//
//   - file:PATH is an encrypted PKCS#8 file (RFC 5958) in PEM: PBES2 (RFC 8018
//     §6.2) with scrypt (RFC 7914) and AES-256-CBC, mode 0600, written whole or
//     not at all, readable by `openssl pkey`.
//   - pkcs11:ATTRIBUTES (RFC 7512) is a key in a token that never leaves it. It
//     needs a binary built with cgo and the tag pkcs11; any other binary answers
//     [ErrUnsupported] with that sentence.
//
// Passphrases and PINs are never kept, logged or put into errors.
package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// What a caller can tell apart. A damaged key file and a wrong passphrase look
// the same, since PBES2 has no check value; both are ErrPassphrase.
var (
	ErrURI         = errors.New("not a key URI (file:PATH or pkcs11:…)")
	ErrPassphrase  = errors.New("wrong passphrase, or a damaged key")
	ErrExists      = errors.New("a key of this name exists")
	ErrNoKey       = errors.New("no key of this name")
	ErrExposed     = errors.New("others than its owner may read the key file")
	ErrUnsupported = errors.New("this binary has no PKCS#11: build it with CGO_ENABLED=1 -tags pkcs11")
)

// Algorithm is a kind of key that Create can make.
type Algorithm uint8

// The zero Algorithm is none, so that a forgotten one is refused.
const (
	P256 Algorithm = iota + 1
	P384
	RSA3072
)

// String is the name of the algorithm.
func (a Algorithm) String() string {
	switch a {
	case P256:
		return "P-256"
	case P384:
		return "P-384"
	case RSA3072:
		return "RSA-3072"
	}
	return fmt.Sprintf("algorithm(%d)", uint8(a))
}

// Open gives the signer of an existing key. The signer may be used from many
// goroutines; when it is an io.Closer the caller closes it at the end. Errors:
// ErrURI, ErrNoKey, ErrPassphrase, ErrExposed, ErrUnsupported.
func Open(ctx context.Context, uri string, pass []byte) (crypto.Signer, error) {
	scheme, rest, err := split(uri)
	if err != nil {
		return nil, err
	}
	if scheme == "pkcs11" {
		return openToken(ctx, uri, pass)
	}
	signer, err := openFile(rest, pass)
	if err != nil {
		return nil, fmt.Errorf("opening key %s: %w", rest, err)
	}
	return signer, nil
}

// Create makes a key under a name that is free and gives its signer; the key is
// durable when it returns. An existing key is never replaced: ErrExists.
func Create(ctx context.Context, uri string, algorithm Algorithm, pass []byte) (crypto.Signer, error) {
	scheme, rest, err := split(uri)
	if err != nil {
		return nil, err
	}
	if scheme == "pkcs11" {
		return createInToken(ctx, uri, algorithm, pass)
	}
	signer, err := createFile(rest, algorithm, pass)
	if err != nil {
		return nil, fmt.Errorf("creating key %s: %w", rest, err)
	}
	return signer, nil
}

// split takes the scheme off; what follows file: is a path as it stands, or
// percent-encoded behind file://.
func split(uri string) (scheme, rest string, err error) {
	scheme, rest, found := strings.Cut(uri, ":")
	if !found || rest == "" || scheme != "file" && scheme != "pkcs11" {
		return "", "", ErrURI // the URI may hold a PIN, so it is not repeated
	}
	if scheme == "file" && strings.HasPrefix(rest, "//") {
		u, err := url.Parse(uri)
		if err != nil || u.Host != "" || u.Path == "" {
			return "", "", ErrURI
		}
		rest = u.Path
	}
	return scheme, rest, nil
}

func generate(algorithm Algorithm) (crypto.Signer, error) {
	switch algorithm {
	case P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	}
	return nil, fmt.Errorf("making a key: unknown %s", algorithm)
}
