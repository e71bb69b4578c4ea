package ocsp_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// announce announces a list of any kind with its packed form.
func (w *world) announce(list certs.ListPublished, data []byte) (packed []byte) {
	w.t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	list.Issuer = w.auth.id
	list.ThisUpdate = time.Now().UTC().Truncate(time.Second)
	list.NextUpdate = list.ThisUpdate.AddDate(0, 0, 7)
	list.Content, list.Size = w.feed.PutContent(data), int64(len(data))
	list.Packed, list.PackedSize = w.feed.PutContent(b.Bytes()), int64(b.Len())
	w.feed.Append(journal.KindListPublished, list.Version(), list.Append(nil))
	return b.Bytes()
}

func TestListsOfEveryKindAreServedInBothForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	data := bytes.Repeat([]byte("a list whose octets repeat. "), 20_000) // several pieces
	lists := map[string]certs.ListPublished{
		"/crl/authentication/4.crl":          {Shard: 4, Number: 7},
		"/crl/authentication/4-delta.crl":    {Shard: 4, Number: 7, Base: 5},
		"/crl/authentication/full.crl":       {Kind: certs.ListFull, Number: 8},
		"/crl/authentication/full-delta.crl": {Kind: certs.ListFull, Number: 8, Base: 3},
		"/crl/authentication/archive.crl":    {Kind: certs.ListArchive, Number: 9},
	}
	for path, list := range lists {
		mine := append([]byte(path), data...)
		packed := w.announce(list, mine)
		w.eventually(path, func() bool { return w.call("GET", path, nil, "Accept-Encoding", "identity").StatusCode == 200 })
		plain := w.call("GET", path, nil, "Accept-Encoding", "gzip;q=0, identity")
		if !bytes.Equal(bodyOf(t, plain), mine) || plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %v", path, plain.Header)
		}
		got := w.call("GET", path, nil, "Accept-Encoding", "br, gzip")
		if !bytes.Equal(bodyOf(t, got), packed) || got.Header.Get("Content-Encoding") != "gzip" || got.Header.Get("Etag") == plain.Header.Get("Etag") ||
			got.ContentLength != int64(len(packed)) || got.Header.Get("Content-Type") != "application/pkix-crl" {
			t.Errorf("%s packed: %v", path, got.Header)
		}
		if r := w.call("GET", path, nil, "Accept-Encoding", "gzip", "If-None-Match", got.Header.Get("Etag")); r.StatusCode != http.StatusNotModified {
			t.Errorf("%s packed, the same tag: %s", path, r.Status)
		}
		w.partsOf(path, mine, plain.Header.Get("Etag"))
	}
	if r := w.call("GET", "/crl/signing/full.crl", nil); r.StatusCode != http.StatusNotFound {
		t.Errorf("a list the policy does not have: %s", r.Status)
	}
}

// partsOf resumes a download as clients do.
func (w *world) partsOf(path string, data []byte, etag string) {
	w.t.Helper()
	middle := w.call("GET", path, nil, "Accept-Encoding", "identity", "Range", "bytes=1000-1999", "If-Range", etag)
	if middle.StatusCode != http.StatusPartialContent || !bytes.Equal(bodyOf(w.t, middle), data[1000:2000]) {
		w.t.Errorf("%s, a range: %s", path, middle.Status)
	}
	other := w.call("GET", path, nil, "Accept-Encoding", "identity", "Range", "bytes=1000-1999", "If-Range", `"another"`)
	if other.StatusCode != http.StatusOK || !bytes.Equal(bodyOf(w.t, other), data) {
		w.t.Errorf("%s, a range of another list: %s", path, other.Status)
	}
	beyond := w.call("GET", path, nil, "Accept-Encoding", "identity", "Range", "bytes=99999999-")
	if _, _ = io.Copy(io.Discard, beyond.Body); beyond.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		w.t.Errorf("%s, a range behind its end: %s", path, beyond.Status)
	}
}
