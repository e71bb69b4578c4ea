package main

import (
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"

	"cardinal/internal/keys"
)

// tokenKeys are responder keys in a token, opened once each.
type tokenKeys struct {
	uri  string
	pin  []byte
	mu   sync.Mutex
	open map[string]crypto.Signer
}

// key gives the key for an issuer, and makes it when there is none.
func (k *tokenKeys) key(ctx context.Context, issuer string) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.open[issuer]; known != nil {
		return known, nil
	}
	uri := strings.NewReplacer("NAME", issuer, "HEX", hex.EncodeToString([]byte(issuer))).Replace(k.uri)
	signer, err := keys.Open(ctx, uri, k.pin)
	if errors.Is(err, keys.ErrNoKey) {
		signer, err = keys.Create(ctx, uri, keys.P256, k.pin)
	}
	if err != nil {
		return nil, err
	}
	k.open[issuer] = signer
	return signer, nil
}

// Close ends the sessions with the token.
func (k *tokenKeys) Close() (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, signer := range k.open {
		if c, ok := signer.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	k.open = map[string]crypto.Signer{}
	return err
}
