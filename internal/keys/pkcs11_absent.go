//go:build !pkcs11 || !cgo

package keys

import (
	"context"
	"crypto"
)

func openToken(context.Context, string, []byte) (crypto.Signer, error) {
	return nil, ErrUnsupported
}

func createInToken(context.Context, string, Algorithm, []byte) (crypto.Signer, error) {
	return nil, ErrUnsupported
}

func destroyInToken(context.Context, string, []byte) error { return ErrUnsupported }
