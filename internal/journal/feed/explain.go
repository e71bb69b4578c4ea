package feed

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"

	"cardinal/internal/journal"
)

// explained says beside what TLS says what that means between nodes.
func explained(err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var told *net.OpError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("the writer's certificate is not of the installation this node trusts: %w", err)
	case errors.As(err, &host):
		return fmt.Errorf("the writer's certificate does not name this address (feed.names on the writer): %w", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the writer's certificate is not valid by this host's clock: %w", err)
	case errors.As(err, &told) && told.Op == "remote error":
		return fmt.Errorf("the writer does not take this node's certificate: %w", err)
	}
	return err
}

// checkedReader ends with an error in place of io.EOF when what was read does not have the hash.
type checkedReader struct {
	io.ReadCloser
	sum  hash.Hash
	want journal.Hash
}

func newCheckedReader(r io.ReadCloser, want journal.Hash) *checkedReader {
	return &checkedReader{ReadCloser: r, sum: sha256.New(), want: want}
}

func (r *checkedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && journal.Hash(r.sum.Sum(nil)) != r.want {
		err = fmt.Errorf("%w: content %s is not what came", ErrUnreadable, r.want)
	}
	return n, err
}
