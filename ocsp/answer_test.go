package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/certs"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

func TestStatusIsToldForEveryHash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	good, lost, paused := w.issued(w.auth), w.issued(w.auth), w.issued(w.auth)
	never := w.leaf(w.auth, "")
	at := time.Now().UTC().Truncate(time.Second).Add(-time.Minute)
	w.set(w.auth, certs.Status{State: certs.StateRevoked, Reason: certs.ReasonKeyCompromise, At: at}, lost)
	w.set(w.auth, held(), paused)
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		for range 2 { // the second is a stored answer
			check := func(serial *big.Int) *responseData {
				return parseAnswer(t, w.ask(requestFor(idOf(w.auth, h, serial)).der(t)), w.auth)
			}
			if s := check(good.SerialNumber).Responses[0].Status; s.Tag != 0 || len(s.Bytes) != 0 {
				t.Errorf("%v: good is told as %x", h, s.FullBytes)
			}
			if s := check(never.SerialNumber).Responses[0].Status; s.Tag != 2 || len(s.Bytes) != 0 {
				t.Errorf("%v: a serial never issued is told as %x", h, s.FullBytes)
			}
			if s := check(paused.SerialNumber).Responses[0].Status; s.Tag != 1 || !bytes.HasSuffix(s.Bytes, []byte{0xa0, 3, 0x0a, 1, 6}) {
				t.Errorf("%v: held is told as %x", h, s.FullBytes)
			}
		}
	}
	r := w.statusOf(lost, w.auth)
	if r.Status != xocsp.Revoked || r.RevocationReason != xocsp.KeyCompromise || !r.RevokedAt.Equal(at) {
		t.Errorf("revoked is told as %d for reason %d at %s", r.Status, r.RevocationReason, r.RevokedAt)
	}
}

func TestTimesAreInOrderAndToTheSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	for _, a := range []*authority{w.auth, w.signing} {
		c := w.issued(a)
		asked := time.Now()
		d := parseAnswer(t, w.ask(requestFor(idOf(a, crypto.SHA256, c.SerialNumber)).der(t)), a)
		s, now := d.Responses[0], time.Now()
		want := 2 * time.Minute
		if a == w.signing {
			want = 10 * time.Minute
		}
		if s.ThisUpdate.After(d.ProducedAt) || d.ProducedAt.After(now) || d.ProducedAt.Before(asked.Truncate(time.Second)) ||
			s.NextUpdate.Sub(s.ThisUpdate) != want {
			t.Errorf("%s: this %s, next %s, produced %s, now %s", a.name, s.ThisUpdate, s.NextUpdate, d.ProducedAt, now)
		}
	}
}

func TestUnspecifiedReasonIsLeftOutAndInvalidityDateTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	c := w.issued(w.auth)
	status := revoked(certs.ReasonUnspecified)
	status.Invalidity = status.At.Add(-time.Hour)
	w.set(w.auth, status, c)
	s := parseAnswer(t, w.ask(requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t)), w.auth).Responses[0]
	if len(s.Status.Bytes) != 17 {
		t.Errorf("revoked without a reason is told as %x", s.Status.FullBytes)
	}
	if len(s.Extensions) != 1 || s.Extensions[0].Id.String() != certs.OIDInvalidityDate || s.Extensions[0].Critical ||
		string(s.Extensions[0].Value[2:]) != status.Invalidity.Format("20060102150405Z") {
		t.Errorf("extensions %v", s.Extensions)
	}
}

func TestNonceIsEchoedExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	c := w.issued(w.auth)
	id := idOf(w.auth, crypto.SHA1, c.SerialNumber)
	echoed := func(name string, request *ocspRequest, want []byte) {
		d := parseAnswer(t, w.ask(request.der(t)), w.auth)
		if len(d.Extensions) != 1 || !d.Extensions[0].Id.Equal(oidNonce) || d.Extensions[0].Critical || !bytes.Equal(d.Extensions[0].Value, want) {
			t.Errorf("%s: extensions %v", name, d.Extensions)
		}
	}
	for _, n := range []int{1, 16, 32, 105, 128} {
		value := make([]byte, n)
		_, _ = rand.Read(value)
		wrapped, _ := asn1.Marshal(value)
		echoed("nonce", requestFor(id).nonce(wrapped), wrapped)
	}
	unwrapped := bytes.Repeat([]byte{0x55}, 20)
	echoed("unwrapped", requestFor(id).nonce(unwrapped), unwrapped)
	critical := requestFor(id).nonce([]byte{4, 1, 7})
	critical.TBS.Extensions[0].Critical = true
	echoed("critical", critical, []byte{4, 1, 7})
	misplaced := requestFor(id)
	misplaced.TBS.List[0].Extensions = requestFor(id).nonce([]byte{4, 2, 8, 8}).TBS.Extensions
	echoed("misplaced", misplaced, []byte{4, 2, 8, 8})
	if d := parseAnswer(t, w.ask(requestFor(id).der(t)), w.auth); len(d.Extensions) != 0 {
		t.Errorf("extensions without a nonce asked: %v", d.Extensions)
	}
	for _, n := range []int{0, 129, 1000} {
		wrapped, _ := asn1.Marshal(make([]byte, n))
		if got := errorStatus(t, w.ask(requestFor(id).nonce(wrapped).der(t))); got != 1 {
			t.Errorf("a nonce of %d octets gets status %d", n, got)
		}
	}
}

func TestSeveralCertificatesGetSeveralAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	good, lost, never := w.issued(w.auth), w.issued(w.auth), w.leaf(w.auth, "")
	w.set(w.auth, revoked(certs.ReasonSuperseded), lost)
	foreign := newAuthority(t, "foreign")
	ids := []certID{idOf(foreign, crypto.SHA1, big.NewInt(5)), idOf(w.auth, crypto.SHA1, good.SerialNumber),
		idOf(w.auth, crypto.SHA256, lost.SerialNumber), idOf(w.auth, crypto.SHA1, never.SerialNumber)}
	d := parseAnswer(t, w.ask(requestFor(ids...).der(t)), w.auth)
	var tags []int
	for i, s := range d.Responses {
		tags = append(tags, s.Status.Tag)
		if s.CertID.Serial.Cmp(ids[i].Serial) != 0 || !bytes.Equal(s.CertID.KeyHash, ids[i].KeyHash) {
			t.Errorf("answer %d is about another certificate", i)
		}
	}
	if want := []int{2, 0, 1, 2}; !bytes.Equal(octets(tags), octets(want)) {
		t.Errorf("statuses %v, want %v", tags, want)
	}
	var many []certID
	for i := range 17 {
		many = append(many, idOf(w.auth, crypto.SHA1, big.NewInt(int64(i+1))))
	}
	if got := errorStatus(t, w.ask(requestFor(many...).der(t))); got != 1 {
		t.Errorf("17 certificates get status %d", got)
	}
	if d := parseAnswer(t, w.ask(requestFor(many[:16]...).der(t)), w.auth); len(d.Responses) != 16 {
		t.Errorf("16 certificates get %d answers", len(d.Responses))
	}
}

func octets(v []int) []byte {
	var b []byte
	for _, x := range v {
		b = append(b, byte(x))
	}
	return b
}

func TestSignedAndNamedRequestsAreAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	c := w.issued(w.auth)
	r := requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber))
	r.TBS.Requestor = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true,
		Bytes: append([]byte{0x82, 4}, "host"...)}
	r.Signature = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true,
		Bytes: []byte{0x30, 9, 0x30, 3, 6, 1, 42, 3, 2, 0, 1}}
	if got := answerOf(t, w.ask(r.der(t)), c, w.auth); got.Status != xocsp.Good {
		t.Errorf("status %d", got.Status)
	}
}

func TestOtherIssuersAreUnauthorized(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	foreign := newAuthority(t, "authentication") // even of the same name
	id := idOf(foreign, crypto.SHA1, big.NewInt(5))
	if got := errorStatus(t, w.ask(requestFor(id).der(t))); got != int(ocsp.Unauthorized) {
		t.Errorf("another CA's certificate gets status %d", got)
	}
	mixed := idOf(w.auth, crypto.SHA1, big.NewInt(5))
	mixed.NameHash = id.NameHash[:19]
	if got := errorStatus(t, w.ask(requestFor(mixed).der(t))); got != int(ocsp.Unauthorized) {
		t.Errorf("our key under another name gets status %d", got)
	}
}

func TestOddSerialsAreUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	long := new(big.Int).Lsh(big.NewInt(1), 300)
	for _, serial := range []*big.Int{big.NewInt(0), big.NewInt(-1), big.NewInt(127), long} {
		d := parseAnswer(t, w.ask(requestFor(idOf(w.auth, crypto.SHA1, serial)).der(t)), w.auth)
		if d.Responses[0].Status.Tag != 2 {
			t.Errorf("serial %s is told as %x", serial, d.Responses[0].Status.FullBytes)
		}
	}
}

func TestPolicyAddsWhatIsConfigured(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) {
		c.Policy = func(string) ocsp.Policy {
			return ocsp.Policy{NextUpdate: time.Hour, Retain: 11 * 365 * 24 * time.Hour, CertHash: true, Extended: true}
		}
	})
	w.serve()
	w.ready()
	c := w.issued(w.auth)
	d := parseAnswer(t, w.ask(requestFor(idOf(w.auth, crypto.SHA256, c.SerialNumber)).der(t)), w.auth)
	found := map[string]bool{}
	for _, e := range d.Responses[0].Extensions {
		found[e.Id.String()] = true
		if e.Id.String() == "1.3.36.8.3.13" && !bytes.HasSuffix(e.Value, sum(crypto.SHA256, c.Raw)) {
			t.Errorf("CertHash %x", e.Value)
		}
	}
	if !found["1.3.6.1.5.5.7.48.1.6"] || !found["1.3.36.8.3.13"] {
		t.Errorf("extensions %v", d.Responses[0].Extensions)
	}
	d = parseAnswer(t, w.ask(requestFor(idOf(w.auth, crypto.SHA1, big.NewInt(99))).der(t)), w.auth)
	if s := d.Responses[0].Status; s.Tag != 1 || !bytes.Contains(s.Bytes, []byte("19700101000000Z")) ||
		len(d.Extensions) != 1 || d.Extensions[0].Id.String() != "1.3.6.1.5.5.7.48.1.9" || d.Extensions[0].Critical {
		t.Errorf("a serial never issued is told as %x, %v", s.FullBytes, d.Extensions)
	}
}
