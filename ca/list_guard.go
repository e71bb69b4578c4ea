package ca

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// ImplausibleError says that a list has fewer or more entries than there can
// be by counting: it is not published, and the one before stays.
type ImplausibleError struct {
	Entries, Least, Most int64
}

// Error gives the numbers.
func (e *ImplausibleError) Error() string {
	return fmt.Sprintf("the list has %d entries where between %d and %d are possible", e.Entries, e.Least, e.Most)
}

// guard reads the list back as it would be served.
func (d *draft) guard(ctx context.Context, l *ledger.Ledger) error {
	if n := d.made.Entries; n < d.least || n > d.most {
		return &ImplausibleError{Entries: n, Least: d.least, Most: d.most}
	}
	if err := d.read(ctx, l, d.made.Content, func(r io.Reader) error {
		return checkList(r, d.at.Issuer.Certificate, d.header, d.made.Entries)
	}); err != nil || d.made.PackedSize == 0 {
		return err
	}
	return d.read(ctx, l, d.made.Packed, func(r io.Reader) error {
		unpacked, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		return sameContent(unpacked, d.made.Content)
	})
}

func (d *draft) read(ctx context.Context, l *ledger.Ledger, h journal.Hash, check func(io.Reader) error) error {
	if small, ok := d.small[h]; ok {
		return check(bytes.NewReader(small))
	}
	stored, err := l.Feed().Content(ctx, h)
	if err != nil {
		return err
	}
	return errors.Join(check(stored), stored.Close())
}

func sameContent(r io.Reader, want journal.Hash) error {
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, r, make([]byte, chunk)); err != nil {
		return fmt.Errorf("%w: its packed form: %w", errList, err)
	}
	if journal.Hash(sum.Sum(nil)) != want {
		return fmt.Errorf("%w: its packed form is another list", errList)
	}
	return nil
}
