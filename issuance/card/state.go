package card

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is everything a simulated card holds. It is one JSON file of mode
// 0600, private keys and PIN in the clear: the file is the card.
type state struct {
	Format      int                `json:"format"`
	Serial      uint32             `json:"serial"`
	PIN         reference          `json:"pin"`
	PUK         reference          `json:"puk"`
	Management  managementKey      `json:"management"`
	Keys        map[string]slotKey `json:"keys"`        // by slot, two hexadecimal digits
	Objects     map[string][]byte  `json:"objects"`     // by tag, six hexadecimal digits
	Attestation []byte             `json:"attestation"` // PKCS #8; its certificate is an object
}

type reference struct {
	Value []byte `json:"value"` // padded to eight octets
	Left  int    `json:"left"`
	Tries int    `json:"tries"`
}

type managementKey struct {
	Algorithm byte   `json:"algorithm"`
	Key       []byte `json:"key"`
}

type slotKey struct {
	Algorithm byte   `json:"algorithm"`
	PIN       byte   `json:"pin"`
	Touch     byte   `json:"touch"`
	Private   []byte `json:"private"` // PKCS #8
}

const (
	stateFormat = 1
	maxState    = 1 << 20 // no card holds a megabyte
)

func loadState(path string) (*state, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read it (mode %04o, want 0600)", info.Mode().Perm())
	}
	if info.Size() > maxState {
		return nil, errors.New("it is too long for a card")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseState(text)
}

func parseState(text []byte) (*state, error) {
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("it is not a card: %w", err)
	}
	switch {
	case s.Format != stateFormat:
		return nil, fmt.Errorf("its format is %d, want %d", s.Format, stateFormat)
	case len(s.PIN.Value) != pinLength || len(s.PUK.Value) != pinLength:
		return nil, errors.New("it has no PIN or PUK")
	case s.PIN.Left < 0 || s.PIN.Left > s.PIN.Tries || s.PUK.Left < 0 || s.PUK.Left > s.PUK.Tries || s.PIN.Tries > 255 || s.PUK.Tries > 255:
		return nil, errors.New("its tries do not add up")
	}
	if _, err := managementCipher(s.Management.Algorithm, s.Management.Key); err != nil {
		return nil, errors.New("it has no management key")
	}
	if s.Keys == nil {
		s.Keys = map[string]slotKey{}
	}
	if s.Objects == nil {
		s.Objects = map[string][]byte{}
	}
	return &s, nil
}

// save replaces the file whole: written beside it, flushed, renamed.
func (s *state) save(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("saving the card: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".card-*") // mode 0600
	if err != nil {
		return fmt.Errorf("saving the card: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("saving the card: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func parsePrivate(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("card: a private key that does not sign")
	}
	return signer, nil
}
