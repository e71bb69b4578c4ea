package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"path/filepath"

	"cardinal/issuance"
	"cardinal/policies"
)

// operatorNames are the bootstrap operators, by the names of their files. One
// registers and issues, the other approves: nobody can do both.
func operatorNames() []string { return []string{"manager", "sponsor"} }

func operatorRole(name string) policies.Role {
	if name == "sponsor" {
		return policies.RoleSponsor
	}
	return policies.RoleManager
}

// enrolOperators makes the bootstrap operators: key, certificate, and the
// files they sign in with.
func (w *writeSide) enrolOperators(ctx context.Context) error {
	var newcomers []issuance.Newcomer
	var private []*ecdsa.PrivateKey
	for _, name := range operatorNames() {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		private = append(private, key)
		newcomers = append(newcomers, issuance.Newcomer{Name: "bootstrap-" + name, Role: operatorRole(name), Key: key.Public()})
	}
	ders, _, err := w.desk.Enrol(ctx, newcomers...)
	if err != nil {
		return err
	}
	for i, name := range operatorNames() {
		leaf, err := x509.ParseCertificate(ders[i])
		if err != nil {
			return fmt.Errorf("reading the certificate of operator %s: %w", name, err)
		}
		if err := w.writeOperator(name, &identity{leaf: leaf, key: private[i]}); err != nil {
			return err
		}
	}
	return nil
}

// cardMakers are the roots whose attestations are believed: those configured,
// and in a demo the one that makes simulated cards. None: keys need no
// attestation.
func cardMakers(f folder, c Config) (*x509.CertPool, error) {
	paths := c.Cards.AttestationRoots
	if c.Demo.Enabled {
		simulator, err := openSimulator(f)
		if err != nil {
			return nil, usage("making the simulator's root", err)
		}
		paths = append(paths, simulator)
	}
	if len(paths) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	for _, path := range paths {
		found, err := readCertificates(f.path(path))
		if err != nil {
			return nil, usage("reading card makers' roots", err)
		}
		for _, c := range found {
			pool.AddCert(c)
		}
	}
	return pool, nil
}

func (f folder) simulator() string { return filepath.Join(string(f), "simulator.pem") }
