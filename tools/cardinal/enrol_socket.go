package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/ocsp"
)

// The read role holds no CA key. The write role of the same folder certifies
// its responder keys over a Unix socket that only the folder's owner can open.

func (f folder) enrolment() string { return filepath.Join(string(f), "enrol.sock") }

// serveEnrolment answers the read roles of this folder.
func (n *node) serveEnrolment() error {
	os.Remove(n.folder.enrolment()) // left by a process that was killed; the ledger's lock tells of one that runs
	l, err := net.Listen("unix", n.folder.enrolment())
	if err != nil {
		return usage("listening for the read role", err)
	}
	if err := os.Chmod(n.folder.enrolment(), 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	asked := http.NewServeMux()
	asked.HandleFunc("PUT "+standingPath, n.hearStanding)
	asked.HandleFunc("DELETE "+standingPath, n.hearStanding)
	asked.HandleFunc("/", n.enrol)
	n.serveHTTP("enrolment", l, asked)
	return nil
}

func (n *node) enrol(w http.ResponseWriter, r *http.Request) {
	der, err := n.enrolled(r)
	switch {
	case errors.Is(err, ocsp.ErrNotServed):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		n.logger.Error("certifying a responder key", "error", err)
		http.Error(w, "not certified", http.StatusServiceUnavailable)
	default:
		_, _ = w.Write(der)
	}
}

func (n *node) enrolled(r *http.Request) ([]byte, error) {
	csr, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return nil, err
	}
	id, err := issuerIDOf(r.URL.Path)
	if err != nil {
		return nil, err
	}
	return n.write.responder(r.Context(), csr, ca.ResponderOrder{Issuer: id})
}

func issuerIDOf(path string) (certs.IssuerID, error) {
	var raw []byte
	if _, err := fmt.Sscanf(path, "/%x", &raw); err != nil {
		return certs.IssuerID{}, err
	}
	return certs.IssuerIDFromBytes(raw)
}

// writeRole speaks to the write role of a folder.
func (f folder) writeRole() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", f.enrolment())
	}}
}

// askResponder is the read role's side.
func (n *node) askResponder(ctx context.Context, issuer certs.IssuerID, csr []byte) ([]byte, error) {
	way := n.folder.writeRole()
	defer way.CloseIdleConnections()
	client := &http.Client{Transport: way}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://folder/%x", issuer[:]), bytes.NewReader(csr))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the write role of this folder: %w", err)
	}
	defer response.Body.Close()
	der, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusNotFound:
		return nil, ocsp.ErrNotServed
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the write role of this folder answered %s", response.Status)
	}
	return der, nil
}
