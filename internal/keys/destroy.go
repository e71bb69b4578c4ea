package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Destroy ends a key for ever: a token deletes its objects, a file is written
// over once and removed. Its octets may live on in copies, in backups and in
// what a disk keeps of them; the passphrase is what protects those. It asks for
// the passphrase first, so that nobody destroys a key he could not use.
// ErrNoKey when there is none.
func Destroy(ctx context.Context, uri string, pass []byte) error {
	scheme, rest, err := split(uri)
	if err != nil {
		return err
	}
	if scheme == "pkcs11" {
		return destroyInToken(ctx, uri, pass)
	}
	if _, err := openFile(rest, pass); err != nil {
		return fmt.Errorf("destroying key %s: %w", rest, err)
	}
	if err := destroyFile(rest); err != nil {
		return fmt.Errorf("destroying key %s: %w", rest, err)
	}
	return nil
}

func destroyFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = io.Copy(f, bytes.NewReader(make([]byte, info.Size())))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
