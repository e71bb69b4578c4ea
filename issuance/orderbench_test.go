package issuance_test

import (
	"crypto/rand"
	"fmt"
	"syscall"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

// BenchmarkOrder suspends a thousand cards an operation's worth at a time; it
// reports what one card costs in CPU and how long a block held the head. The
// cards are rows like a real card's, which no CA signed.
func BenchmarkOrder(b *testing.B) {
	w := issuancetest.New(b, "")
	_, card, hand := w.Holder("Sam", securityJob)
	_, _, second := w.Holder("Kim", securityJob)
	for _, name := range []string{"Ann", "Bea", "Cal"} {
		spare, _ := w.Card(w.Person(name, "Example"))
		if _, err := w.Desk.Spare(b.Context(), hand.Operator(), spare, ""); err != nil {
			b.Fatal(err)
		}
	}
	model, err := w.Desk.Card(b.Context(), hand.Operator(), card)
	if err != nil {
		b.Fatal(err)
	}
	multiply(b, w, model, max(b.N, 200))
	ask := issuance.OrderRequest{RequestID: "benchmark", Verb: issuance.OrderSuspend, Selection: issuance.Selection{Filter: "(case=RX*)"}}
	b.ResetTimer()
	o, _, err := w.Desk.PlaceOrder(b.Context(), hand.Operator(), ask)
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := w.Desk.ConfirmOrder(b.Context(), second.Operator(), o.ID, o.Content); err != nil {
		b.Fatal(err)
	}
	before := cpu(b)
	if _, err := w.Desk.WorkOrders(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(o.Total), "cpu-µs/card")
	if o, err = w.Desk.Order(b.Context(), hand.Operator(), o.ID); err != nil || o.Done != o.Total {
		b.Fatalf("%+v %v", o, err)
	}
	b.ReportMetric(o.Held.Seconds()*1000, "held-ms")
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// multiply adds n cards like a real one, each for somebody else.
func multiply(b testing.TB, w *issuancetest.World, model *issuance.Card, n int) {
	for from := 0; from < n; from += 200 {
		_, err := w.Ledger.Write(b.Context(), func(tx *ledger.Tx) (err error) {
			for i := from; i < min(from+200, n) && err == nil; i++ {
				err = (&copying{tx, w, model}).card(fmt.Sprintf("C9%09d", i), fmt.Sprintf("9%011d", i))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// copying makes rows from those of a model.
type copying struct {
	tx    *ledger.Tx
	w     *issuancetest.World
	model *issuance.Card
}

func (c *copying) card(card, person string) error {
	authentication, signature := c.certificate(c.model.Authentication, card, person), c.certificate(c.model.Signature, card, person)
	c.tx.Defer(`INSERT INTO issuance_pairs SELECT $1, pair, authentication_issuer, $2, $2, signature_issuer, $3, $3, not_before, not_after FROM issuance_pairs WHERE card = $4`, card, authentication, signature, c.model.ID)
	c.tx.Defer(`INSERT INTO issuance_cards SELECT $1, $2, $3, state, before_hold, reason, replaces, replaced_by, pair, not_before, not_after FROM issuance_cards WHERE id = $4`, card, person, "RX"+card[2:], c.model.ID)
	people := c.w.Suffix.Child(directory.RDN{{Type: "ou", Value: []byte("People")}})
	e := &directory.Entry{DN: people.Child(directory.RDN{{Type: "uid", Value: []byte(person)}})}
	e.PutString("objectClass", "inetOrgPerson", "nhsPerson")
	for name, value := range map[string]string{"uid": person, "cn": "x", "sn": "x", "nhsPersonStatus": "1"} {
		e.PutString(name, value)
	}
	k := &directory.Entry{DN: e.DN.Child(directory.RDN{{Type: "uniqueIdentifier", Value: []byte(card)}})}
	for name, value := range map[string]string{"objectClass": "cardinalCard", "uniqueIdentifier": card, "cardState": "active"} {
		k.PutString(name, value)
	}
	for _, one := range []*directory.Entry{e, k} {
		if err := c.w.Directory.Add(c.tx, register.Author{DN: "cn=bench", Issuance: true}, one); err != nil {
			return err
		}
	}
	return nil
}

func (c *copying) certificate(of certs.Ref, card, person string) []byte {
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] = serial[0]&0x7f | 0x40
	c.tx.Defer(`INSERT INTO certs_serial SELECT issuer, $1, state, profile, $2, $3, request, $4, $5, policy, tbs_hash, not_before, not_after, reserved, settled, why
		FROM certs_serial WHERE issuer = $6 AND serial = $7`, serial, person, card, serial[15]%16, serial, journal.Hash(of.Issuer), of.Serial.Bytes())
	return serial
}
