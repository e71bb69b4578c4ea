package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cardinal/certs"
	"cardinal/issuance/api"
	"cardinal/issuance/card"
)

// renewalDays is when a holder is told that his card ends.
const renewalDays = 90

// shown is what show prints.
type shown struct {
	Serial         string    `json:"serial"`
	Tries          int       `json:"pin_tries"`
	Authentication *slotView `json:"authentication,omitempty"`
	Signature      *slotView `json:"signature,omitempty"`
	Card           string    `json:"card,omitempty"`
	State          string    `json:"state,omitempty"` // as the server has it
}

type slotView struct {
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	Serial   string    `json:"serial"`
	NotAfter time.Time `json:"not_after"`
	DaysLeft int       `json:"days_left"`
}

func showCommand(s *station) *cobra.Command {
	c := &cobra.Command{Use: "show", Short: "Show what a card holds, and with --url what the server thinks of it", Args: cobra.NoArgs,
		Example: "  station show --card alex.card",
		RunE:    func(c *cobra.Command, _ []string) error { return failing("show", s.show(c.Context())) }}
	return s.operatorFlags(s.cardFlags(c))
}

func (s *station) show(ctx context.Context) (err error) {
	inserted, err := s.insert()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inserted.Close()) }()
	var v shown
	if v.Serial, err = inserted.Serial(); err != nil {
		return err
	}
	if v.Tries, err = inserted.Retries(); err != nil {
		return err
	}
	if v.Authentication, err = s.view(inserted, card.SlotAuthentication); err != nil {
		return err
	}
	if v.Signature, err = s.view(inserted, card.SlotSignature); err != nil {
		return err
	}
	if v.Authentication != nil && or(s.who.url, s.env("CARDINAL_SERVER")) != "" {
		client, err := s.dial()
		if err != nil {
			return err
		}
		defer client.Close()
		known, err := s.cardOf(ctx, client, inserted)
		if err != nil {
			return err
		}
		v.Card, v.State = known.ID, known.State
	}
	return s.print(v, v.rows())
}

// view is nil for an empty slot.
func (s *station) view(c card.Card, slot card.Slot) (*slotView, error) {
	der, err := c.Certificate(slot)
	if errors.Is(err, card.ErrEmpty) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of slot %s: %w", slot, err)
	}
	serial, err := certs.SerialFromBig(certificate.SerialNumber)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of slot %s: %w", slot, err)
	}
	return &slotView{Subject: certificate.Subject.CommonName, Issuer: certificate.Issuer.CommonName, Serial: serial.Hex(),
		NotAfter: certificate.NotAfter, DaysLeft: int(certificate.NotAfter.Sub(s.now()).Hours() / 24)}, nil
}

func (v shown) rows() [][2]string {
	rows := [][2]string{{"serial", v.Serial}, {"PIN tries", fmt.Sprint(v.Tries)}}
	for _, slot := range []struct {
		name string
		view *slotView
	}{{"authentication", v.Authentication}, {"signature", v.Signature}} {
		if slot.view == nil {
			rows = append(rows, [2]string{slot.name, "empty"})
			continue
		}
		rows = append(rows, [2]string{slot.name, slot.view.Subject}, [2]string{"", "by " + slot.view.Issuer + ", serial " + slot.view.Serial},
			[2]string{"", slot.view.ends()})
	}
	if v.Card != "" {
		rows = append(rows, [2]string{"card", v.Card + ", " + v.State})
	}
	return rows
}

func (v *slotView) ends() string {
	day := v.NotAfter.Format(time.DateOnly)
	switch {
	case v.DaysLeft < 0:
		return "ended " + day
	case v.DaysLeft <= renewalDays:
		return fmt.Sprintf("ends %s, in %d days: renew it", day, v.DaysLeft)
	}
	return fmt.Sprintf("ends %s, in %d days", day, v.DaysLeft)
}

// cardOf finds the server's card by the serial number of the certificate in
// the sign-in slot.
func (s *station) cardOf(ctx context.Context, client *api.Client, c card.Card) (*api.Card, error) {
	der, err := c.Certificate(card.SlotAuthentication)
	if err != nil {
		return nil, err
	}
	outline, err := certs.OutlineOf(der)
	if err != nil {
		return nil, fmt.Errorf("reading the card's sign-in certificate: %w", err)
	}
	list, err := client.Certificates(ctx, outline.Serial.Hex())
	if err != nil {
		return nil, err
	}
	for _, known := range list.Certificates {
		if string(known.DER) == string(der) && known.Card != "" {
			return client.Card(ctx, known.Card)
		}
	}
	return nil, wrong("card", errors.New("the server does not know its certificate"))
}
