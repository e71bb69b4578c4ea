package ocsp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// How long HTTP caches may keep a list, and a CA certificate.
const (
	listMaxAge = "max-age=60,public,no-transform,must-revalidate"
	caMaxAge   = "max-age=3600,public,no-transform"
)

// serveFile serves lists and CA certificates, however old the copy is: a relying system that cannot fetch a list treats
// every certificate as valid.
func (r *Responder) serveFile(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "ask by GET", http.StatusMethodNotAllowed)
		return
	}
	path := req.URL.Path
	if name, shard, ok := parseListPath(path); ok {
		r.serveList(w, req, name, shard)
		return
	}
	file, _ := strings.CutPrefix(path, "/ca/")
	if name, ok := strings.CutSuffix(file, ".cer"); ok {
		r.serveIssuer(w, req, name, "application/pkix-cert")
		return
	}
	if name, ok := strings.CutSuffix(file, ".p7c"); ok {
		r.serveIssuer(w, req, name, "application/pkcs7-mime")
		return
	}
	http.NotFound(w, req)
}

// parseListPath reads /crl/NAME/N.crl; N has no leading zeros, so that a list has one URL.
func parseListPath(path string) (name string, shard uint16, ok bool) {
	rest, ok := strings.CutPrefix(path, "/crl/")
	if !ok {
		return "", 0, false
	}
	name, file, ok := strings.Cut(rest, "/")
	number, isList := strings.CutSuffix(file, ".crl")
	n, err := strconv.ParseUint(number, 10, 16)
	if !ok || !isList || err != nil || strconv.FormatUint(n, 10) != number {
		return "", 0, false
	}
	return name, uint16(n), true
}

func (r *Responder) serveList(w http.ResponseWriter, req *http.Request, name string, shard uint16) {
	list, err := r.config.Table.List(name, shard)
	switch {
	case errors.Is(err, ErrNoList):
		if issuer := r.config.Table.Issuer(name); issuer != nil && shard < issuer.Shards {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "this list is not here yet", http.StatusServiceUnavailable)
			return
		}
		http.NotFound(w, req)
		return
	case err != nil:
		r.config.Logger.Error("serving a certificate list", "issuer", name, "shard", shard, "why", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/pkix-crl")
	h.Set("Etag", `"`+hex.EncodeToString(list.Content[:16])+`"`)
	h.Set("Cache-Control", listMaxAge)
	http.ServeContent(w, req, "", list.ThisUpdate, list.Open())
}

func (r *Responder) serveIssuer(w http.ResponseWriter, req *http.Request, name, mediaType string) {
	issuer := r.config.Table.Issuer(name)
	if issuer == nil {
		http.NotFound(w, req)
		return
	}
	body := issuer.DER
	if mediaType != "application/pkix-cert" {
		body = certsOnly(append([][]byte{issuer.DER}, issuer.Cross...)...)
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Etag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("Cache-Control", caMaxAge)
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
}

// certsOnly is the degenerate SignedData of RFC 5751 §3.8 (RFC 5652 §5.1): certificates and no signer.
func certsOnly(certificates ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, oidSigned)
		b.AddASN1(tagged(0), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, oidData) })
				b.AddASN1(tagged(0), func(b *cryptobyte.Builder) {
					for _, der := range certificates {
						b.AddBytes(der)
					}
				})
				b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})
			})
		})
	})
	return b.BytesOrPanic()
}
