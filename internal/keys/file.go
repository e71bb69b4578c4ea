package keys

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile is far above any PKCS#8 file (RSA-16384 has 13 kB) and far below what
// could hurt.
const maxFile = 64 << 10

const pemType = "ENCRYPTED PRIVATE KEY" // RFC 7468 §11

func openFile(path string, pass []byte) (crypto.Signer, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: mode %04o, want 0600", ErrExposed, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("%w: no PEM block %q", ErrPassphrase, pemType)
	}
	return decrypt(block.Bytes, pass)
}

func decrypt(der, pass []byte) (crypto.Signer, error) {
	plain, err := openPKCS8(der, pass)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, ErrPassphrase // the cause would show parts of the wrong plaintext
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	return signer, nil
}

func createFile(path string, algorithm Algorithm, pass []byte) (crypto.Signer, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, ErrExists // before the slow part; place asks again
	}
	signer, err := generate(algorithm)
	if err != nil {
		return nil, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	der, err := sealPKCS8(plain, pass)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	if err := writeWhole(path, text); err != nil {
		return nil, err
	}
	return signer, nil
}

// writeWhole leaves at path either nothing new or all of text, on disk.
func writeWhole(path string, text []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, bytes.NewReader(text))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// place gives the finished file its name without ever replacing another: a
// hard link fails when the name is taken. Memory sticks for root keys are often
// FAT, which has no links: there the name is looked up once more and renamed.
func place(temp, path string) error {
	err := os.Link(temp, path)
	if err == nil {
		return nil
	}
	if _, taken := os.Lstat(path); taken == nil {
		return ErrExists
	}
	return os.Rename(temp, path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
