package stamp

import (
	"encoding/asn1"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The media types (RFC 3161 §3.4).
const (
	requestType  = "application/timestamp-query"
	responseType = "application/timestamp-reply"
)

// DefaultPolicy stands in stamps unless the configuration has another: it lies
// in the documentation arc of RFC 5612, an operator sets his own.
func DefaultPolicy() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1, 20}
}

// Config is what an Authority needs.
type Config struct {
	// Policy is named in each stamp; nil: DefaultPolicy.
	Policy asn1.ObjectIdentifier
	// Now is the time, or why it is in doubt. Required.
	Now    func() (time.Time, error)
	Logger *slog.Logger // nil: silent
}

// Authority gives time stamps over HTTP. All methods are safe for concurrent use.
type Authority struct {
	config Config
	policy []byte // its value in DER
	who    atomic.Pointer[Identity]
	given  atomic.Uint64
}

// New makes an Authority that gives no stamp before Use.
func New(c Config) (*Authority, error) {
	if c.Policy == nil {
		c.Policy = DefaultPolicy()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	der, err := asn1.Marshal(c.Policy)
	if err != nil {
		return nil, err
	}
	in := cryptobyte.String(der)
	var value cryptobyte.String
	if !in.ReadASN1(&value, cbasn1.OBJECT_IDENTIFIER) {
		return nil, errors.New("the policy is no object identifier")
	}
	return &Authority{config: c, policy: value}, nil
}

// Use puts a key and its certificate in place, or another in the place of one.
func (a *Authority) Use(id *Identity) { a.who.Store(id) }

// Identity is what it signs with, nil before Use. It must not be changed.
func (a *Authority) Identity() *Identity { return a.who.Load() }

// Given is how many stamps were given.
func (a *Authority) Given() uint64 { return a.given.Load() }

// Answer gives the TimeStampResp to a TimeStampReq, both in DER: a stamp or why
// there is none.
func (a *Authority) Answer(request []byte) []byte {
	token, err := a.stamp(request)
	var why Failure
	switch {
	case err == nil:
		a.given.Add(1)
		return granted(token)
	case errors.As(err, &why):
	default:
		a.config.Logger.Error("giving a time stamp", "error", err)
		why = SystemFailure
	}
	return rejected(why)
}

func (a *Authority) stamp(request []byte) ([]byte, error) {
	r, err := ParseRequest(request)
	if err != nil {
		return nil, err
	}
	if r.Policy != nil && string(r.Policy) != string(a.policy) {
		return nil, UnacceptedPolicy
	}
	now, err := a.config.Now()
	if err != nil {
		a.config.Logger.Warn("no time stamp: the time is in doubt", "why", err)
		return nil, TimeNotAvailable
	}
	who := a.who.Load()
	if who == nil || now.Before(who.Leaf.NotBefore) || !now.Before(who.Leaf.NotAfter) {
		return nil, TimeNotAvailable
	}
	content, err := info(&r, a.config.Policy, now)
	if err != nil {
		return nil, err
	}
	return who.token(content, r.CertReq)
}

// granted is a TimeStampResp with a stamp.
func granted(token []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(0) })
		b.AddBytes(token)
	})
	return b.BytesOrPanic() // fixed forms alone: they cannot fail
}

// rejected is one without: status rejection, the words, and the bit.
func rejected(why Failure) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(2)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(why.Error())) })
			})
			bits := make([]byte, why/8+1)
			bits[why/8] = 0x80 >> (why % 8)
			b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
				b.AddUint8(uint8(7 - why%8)) // a named bit list ends with its last one (X.690 §11.2.2)
				b.AddBytes(bits)
			})
		})
	})
	return b.BytesOrPanic()
}

// ServeHTTP answers a POST (RFC 3161 §3.4).
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		http.Error(w, "ask by POST", http.StatusMethodNotAllowed)
		return
	case err != nil || media != requestType:
		http.Error(w, "want "+requestType, http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "too large, or cut off", http.StatusBadRequest)
		return
	}
	answer := a.Answer(body)
	h := w.Header()
	h.Set("Content-Type", responseType)
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(answer)
}
