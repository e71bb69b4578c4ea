package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"cardinal/issuance/api"
	"cardinal/tools/internal/pending"
)

// findPair looks whether the server has already issued what a pending request
// asks for, to whoever asked: the answer was lost then, and the certificates
// only have to be fetched. Nil when the card's pair is for other keys.
func findPair(ctx context.Context, client *api.Client, id string, p *pending.Request) (*api.Issued, error) {
	known, err := client.Card(ctx, id)
	if err != nil {
		return nil, err
	}
	authentication, err := findCertificate(ctx, client, known.Serials.Authentication, p.Enrolment.Authentication.CSR)
	if err != nil || authentication == nil {
		return nil, err
	}
	signature, err := findCertificate(ctx, client, known.Serials.Signature, p.Enrolment.Signature.CSR)
	if err != nil || signature == nil {
		return nil, err
	}
	return &api.Issued{Card: id, Serials: known.Serials, Certificates: api.Certificates{
		Authentication: pemText("CERTIFICATE", authentication), Signature: pemText("CERTIFICATE", signature)}}, nil
}

// findCertificate gives the DER of the certificate with this serial for the
// key of the request.
func findCertificate(ctx context.Context, client *api.Client, serial string, csr []byte) ([]byte, error) {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, fmt.Errorf("reading the pending request: %w", err)
	}
	list, err := client.Certificates(ctx, serial)
	if err != nil {
		return nil, err
	}
	for _, known := range list.Certificates {
		certificate, err := x509.ParseCertificate(known.DER)
		if err == nil && bytes.Equal(certificate.RawSubjectPublicKeyInfo, request.RawSubjectPublicKeyInfo) {
			return known.DER, nil
		}
	}
	return nil, nil
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
