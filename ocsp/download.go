package ocsp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
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
	if name, which, ok := certs.ParseListPath(path); ok {
		r.serveList(w, req, name, which)
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

func (r *Responder) serveList(w http.ResponseWriter, req *http.Request, name string, which certs.ListName) {
	list, err := r.config.Table.List(name, which)
	switch {
	case errors.Is(err, ErrNoList):
		if issuer := r.config.Table.Issuer(name); issuer != nil && which.Kind == certs.ListShard && which.Shard < issuer.Shards && !which.Delta {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "this list is not here yet", http.StatusServiceUnavailable)
			return
		}
		http.NotFound(w, req)
		return
	case err != nil:
		r.config.Logger.Error("serving a certificate list", "issuer", name, "list", which.String(), "why", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	content, size, packed := list.Content, list.Size, list.PackedSize > 0
	h := w.Header()
	if packed { // an entry is half serial, which does not pack, and half the same octets each time
		h.Set("Vary", "Accept-Encoding")
		if packed = takesGzip(req.Header["Accept-Encoding"]); packed {
			h.Set("Content-Encoding", "gzip")
			content, size = list.Packed, list.PackedSize
		}
	}
	h.Set("Content-Type", "application/pkix-crl")
	h.Set("Content-Length", strconv.FormatInt(size, 10)) // ServeContent leaves it out of what is packed
	h.Set("Etag", `"`+hex.EncodeToString(content[:16])+`"`)
	h.Set("Cache-Control", listMaxAge)
	http.ServeContent(w, req, "", list.ThisUpdate, list.Open(packed))
}

// takesGzip reports whether gzip is accepted, by name: a client that says nothing, or *, gets the list as it is
// (RFC 9110 §12.5.3).
func takesGzip(accept []string) bool {
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			coding, weight, weighted := strings.Cut(item, ";")
			if coding = strings.TrimSpace(coding); !strings.EqualFold(coding, "gzip") && !strings.EqualFold(coding, "x-gzip") {
				continue
			}
			q, _ := strings.CutPrefix(strings.ToLower(strings.TrimSpace(weight)), "q=")
			value, err := strconv.ParseFloat(q, 64)
			return !weighted || err == nil && value > 0
		}
	}
	return false
}

func (r *Responder) serveIssuer(w http.ResponseWriter, req *http.Request, name, mediaType string) {
	issuer := r.config.Table.Issuer(name)
	if issuer == nil {
		http.NotFound(w, req)
		return
	}
	body := issuer.DER
	if mediaType != "application/pkix-cert" {
		body = certsOnly(r.config.Table.generations(issuer)...)
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Etag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("Cache-Control", caMaxAge)
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
}

// generations are all certificates of CAs of ours with the same name, cross-certificates too, in the order of their
// octets as DER has a set: whoever builds a path from a certificate gets them all at once.
func (t *Table) generations(of *Issuer) [][]byte {
	var out [][]byte
	for _, i := range t.issuers.Load().bySubject[string(of.Subject)] {
		out = append(append(out, i.DER), i.Cross...)
	}
	slices.SortFunc(out, bytes.Compare)
	return out
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
