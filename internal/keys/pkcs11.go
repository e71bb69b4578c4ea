//go:build pkcs11 && cgo

package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.step.sm/crypto/kms/apiv1"
	"go.step.sm/crypto/kms/pkcs11"
)

// tokenSigner keeps the connection its key needs.
type tokenSigner struct {
	crypto.Signer
	token *pkcs11.PKCS11
}

// Close ends the sessions with the token.
func (s tokenSigner) Close() error { return s.token.Close() }

// connect logs in; pass is the PIN unless the URI names one (pin-source).
func connect(ctx context.Context, uri string, pass []byte) (*pkcs11.PKCS11, error) {
	token, err := pkcs11.New(ctx, apiv1.Options{Type: apiv1.PKCS11, URI: uri, Pin: string(pass)})
	if err != nil {
		return nil, fmt.Errorf("opening the token of %s: %w", shown(uri), tokenError(err))
	}
	return token, nil
}

func openToken(ctx context.Context, uri string, pass []byte) (crypto.Signer, error) {
	token, err := connect(ctx, uri, pass)
	if err != nil {
		return nil, err
	}
	signer, err := token.CreateSigner(&apiv1.CreateSignerRequest{SigningKey: uri})
	if err != nil {
		token.Close()
		return nil, fmt.Errorf("opening key %s: %w", shown(uri), tokenError(err))
	}
	return tokenSigner{signer, token}, nil
}

func createInToken(ctx context.Context, uri string, algorithm Algorithm, pass []byte) (crypto.Signer, error) {
	kinds := map[Algorithm]apiv1.CreateKeyRequest{
		P256:    {SignatureAlgorithm: apiv1.ECDSAWithSHA256},
		P384:    {SignatureAlgorithm: apiv1.ECDSAWithSHA384},
		RSA3072: {SignatureAlgorithm: apiv1.SHA256WithRSA, Bits: 3072},
	}
	request, known := kinds[algorithm]
	if !known {
		return nil, fmt.Errorf("making a key: unknown %s", algorithm)
	}
	token, err := connect(ctx, uri, pass)
	if err != nil {
		return nil, err
	}
	request.Name = uri
	_, err = token.CreateKey(&request)
	if err == nil {
		var signer crypto.Signer
		signer, err = token.CreateSigner(&apiv1.CreateSignerRequest{SigningKey: uri})
		if err == nil {
			return tokenSigner{signer, token}, nil
		}
	}
	token.Close()
	return nil, fmt.Errorf("creating key %s: %w", shown(uri), tokenError(err))
}

func destroyInToken(ctx context.Context, uri string, pass []byte) error {
	token, err := connect(ctx, uri, pass)
	if err != nil {
		return err
	}
	defer token.Close()
	signer, err := token.CreateSigner(&apiv1.CreateSignerRequest{SigningKey: uri})
	if err != nil {
		return fmt.Errorf("destroying key %s: %w", shown(uri), tokenError(err))
	}
	if closer, ok := signer.(io.Closer); ok {
		defer closer.Close()
	}
	if err := token.DeleteKey(uri); err != nil {
		return fmt.Errorf("destroying key %s: %w", shown(uri), tokenError(err))
	}
	return nil
}

// shown is the URI without its query, where a PIN may stand (RFC 7512 §2.4).
func shown(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	return path
}

// tokenError gives the cause its name among ours.
func tokenError(err error) error {
	var exists apiv1.AlreadyExistsError
	var missing apiv1.NotFoundError
	switch {
	case errors.As(err, &exists):
		return fmt.Errorf("%w: %w", ErrExists, err)
	case errors.As(err, &missing):
		return fmt.Errorf("%w: %w", ErrNoKey, err)
	case pinRefused(err):
		return fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	return err
}

// pinRefused looks for CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE or
// CKR_PIN_LOCKED (PKCS#11 §5.1). The code is a number type of a module we use
// only through another one, hence its kind instead of its type.
func pinRefused(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.ValueOf(err)
		if v.Kind() != reflect.Uint {
			continue
		}
		switch v.Uint() {
		case 0xa0, 0xa1, 0xa2, 0xa4:
			return true
		}
	}
	return false
}
