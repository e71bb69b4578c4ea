package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// below makes an authority whose certificate is of another.
func (w *world) below(above *authority, name string) *authority {
	w.t.Helper()
	made := newAuthority(w.t, name)
	serial := certs.Serial("\x31\x41\x59\x26\x53\x58\x97\x93\x23\x84\x62")
	template := &x509.Certificate{SerialNumber: serial.Big(), Subject: pkix.Name{CommonName: name + " CA", Organization: []string{"Test"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	made.cert = above.sign(w.t, template, above.cert, made.key.Public())
	made.id = certs.IssuerIDOf(made.cert)
	return made
}

func TestCertificatesFallWithTheirAuthority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := newAuthority(t, "root")
	second := w.below(root, "authentication-2")
	w.append(journal.KindIssuerAdded, certs.IssuerAdded{Name: "root", DER: root.cert.Raw, Shards: 1}.Append(nil),
		certs.IssuerAdded{Name: "authentication-2", DER: second.cert.Raw, Shards: 4}.Append(nil))
	w.record(root, second.cert)
	good, earlier := w.issued(second), w.issued(second)
	other := w.issued(w.auth)
	before := revoked(certs.ReasonKeyCompromise)
	w.set(second, before, earlier)
	of := func(a *authority, c *x509.Certificate) certs.Status {
		s, err := w.table.Status(a.id, serialOf(t, c))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := of(second, good); s.State != certs.StateGood {
		t.Fatalf("before: %+v", s)
	}
	fell := revoked(certs.ReasonCACompromise)
	w.set(root, fell, second.cert)
	if s := of(second, good); !s.Equal(fell) {
		t.Errorf("below a revoked authority: %+v", s)
	}
	if s := of(second, earlier); !s.Equal(before) {
		t.Errorf("revoked before its authority: %+v", s)
	}
	if s := of(w.auth, other); s.State != certs.StateGood {
		t.Errorf("below another authority: %+v", s)
	}
	if known, sound := w.table.Known(good.Raw); !known || sound {
		t.Errorf("a login with it: known %v, good %v", known, sound)
	}
	if _, err := w.table.Status(second.id, certs.Serial("\x01\x02")); err == nil {
		t.Error("a serial never issued below it is known")
	}
}

// TestStoredAnswerFallsWithTheAuthority asks over HTTP, so that the answer was kept.
func TestStoredAnswerFallsWithTheAuthority(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root")
	var second *authority
	w := newWorld(t, func(w *world, _ *ocsp.Config, _ *replica.Options) {
		second = w.below(root, "authentication-2")
		w.signing = second // it is added, and its responders are certified
	})
	w.append(journal.KindIssuerAdded, certs.IssuerAdded{Name: "root", DER: root.cert.Raw, Shards: 1}.Append(nil))
	w.record(root, second.cert)
	leaf := w.issued(second)
	w.serve()
	der := requestFor(idOf(second, crypto.SHA256, leaf.SerialNumber)).der(t)
	w.eventually("an answer", func() bool { return len(w.ask(der)) > 100 })
	for range 2 { // the second is the stored one
		if s, err := xocsp.ParseResponse(w.ask(der), second.cert); err != nil || s.Status != xocsp.Good {
			t.Fatalf("before: %+v, %v", s, err)
		}
	}
	w.set(root, revoked(certs.ReasonCACompromise), second.cert)
	s, err := xocsp.ParseResponse(w.ask(der), second.cert)
	if err != nil || s.Status != xocsp.Revoked || s.RevocationReason != xocsp.CACompromise {
		t.Errorf("after its authority was revoked: %+v, %v", s, err)
	}
}

func TestCrossCertificatesAreServedWithTheAuthority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := newAuthority(t, "root")
	over := root.sign(t, w.auth.cert, root.cert, w.auth.key.Public())
	w.append(journal.KindCrossCertified, certs.CrossCertified{Issuer: w.auth.id, DER: over.Raw}.Append(nil))
	resp, err := client(t).Get(w.serve() + "/ca/authentication.p7c")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	found, err := certificatesIn(body)
	if err != nil || len(found) != 2 || !bytes.Equal(found[0], w.auth.cert.Raw) || !bytes.Equal(found[1], over.Raw) {
		t.Errorf("%d certificates, %v", len(found), err)
	}
}

// certificatesIn reads a certs-only SignedData (RFC 5652 §5.1).
func certificatesIn(der []byte) (out [][]byte, err error) {
	in := cryptobyte.String(der)
	var info, content, signed, all cryptobyte.String
	if !in.ReadASN1(&info, asn1.SEQUENCE) || !info.SkipASN1(asn1.OBJECT_IDENTIFIER) ||
		!info.ReadASN1(&content, asn1.Tag(0).Constructed().ContextSpecific()) || !content.ReadASN1(&signed, asn1.SEQUENCE) ||
		!signed.SkipASN1(asn1.INTEGER) || !signed.SkipASN1(asn1.SET) || !signed.SkipASN1(asn1.SEQUENCE) ||
		!signed.ReadASN1(&all, asn1.Tag(0).Constructed().ContextSpecific()) {
		return nil, errors.New("no certs-only message")
	}
	for !all.Empty() {
		var c cryptobyte.String
		if !all.ReadASN1Element(&c, asn1.SEQUENCE) {
			return out, errors.New("no certificate")
		}
		out = append(out, c)
	}
	return out, nil
}
