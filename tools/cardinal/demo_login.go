package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strconv"

	"github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/issuance/card"
)

// demoPIN is the passcode of the demo's simulated cards.
const demoPIN = "123456"

// login has the holder's simulated card sign in at a relying system.
func (d *demo) login(ctx context.Context, h *holder) (*loginReport, error) {
	system, err := d.relyingSystem(d.folder, d.ready)
	if err != nil {
		return nil, err
	}
	return d.loginAt(ctx, system, h)
}

func (d *demo) loginAt(ctx context.Context, system *relyingSystem, h *holder) (*loginReport, error) {
	inserted, err := card.OpenSimulated(h.file, card.Options{})
	if err != nil {
		return nil, err
	}
	defer inserted.Close()
	identity, err := cardIdentity(inserted, demoPIN)
	if err != nil {
		return nil, err
	}
	system.identity = []tls.Certificate{identity}
	return system.login(ctx, identity)
}

// cardIdentity reads the authentication certificate off a card; its key stays there and signs after
// the PIN was verified.
func cardIdentity(c card.Card, pin string) (tls.Certificate, error) {
	der, err := c.Certificate(card.SlotAuthentication)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading the certificate off the card: %w", err)
	}
	signer, err := c.Signer(card.SlotAuthentication, pin)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("opening the card with its PIN: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer}, nil
}

// relyingSystem is a hospital application that knows the installation in dir by its trust file and
// what its server announced.
func (d *demo) relyingSystem(dir folder, announced ready) (*relyingSystem, error) {
	zone, err := directory.London()
	if err != nil {
		return nil, err
	}
	system := &relyingSystem{directory: announced.LDAPS, suffix: "o=nhs", now: d.a.now, london: zone}
	if err := system.readTrust(dir.trust()); err != nil {
		return nil, fmt.Errorf("reading the trust file: %w", err)
	}
	return system, nil
}

// numSubordinates asks the directory how many entries stand right below base.
func (s *relyingSystem) numSubordinates(ctx context.Context, base string) (int, error) {
	connection, err := s.dialDirectory(ctx)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	request := ldap.NewSearchRequest(base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 5, false, "(objectClass=*)", []string{"numSubordinates"}, nil)
	result, err := connection.Search(request)
	if err != nil || len(result.Entries) != 1 {
		return 0, fmt.Errorf("reading %s: %w", base, err)
	}
	return strconv.Atoi(result.Entries[0].GetAttributeValue("numSubordinates"))
}
