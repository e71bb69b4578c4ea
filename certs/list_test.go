package certs_test

import (
	"testing"

	"cardinal/certs"
)

func TestListHasOnePathAndOneName(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]certs.ListName{
		"/crl/signing/0.crl":              certs.ShardList(0),
		"/crl/signing/15.crl":             certs.ShardList(15),
		"/crl/signing/15-delta.crl":       {Shard: 15, Delta: true},
		"/crl/signing/full.crl":           {Kind: certs.ListFull},
		"/crl/signing/full-delta.crl":     {Kind: certs.ListFull, Delta: true},
		"/crl/authentication/archive.crl": {Kind: certs.ListArchive},
	} {
		issuer, got, ok := certs.ParseListPath(want)
		if !ok || got != n || certs.ListPath(issuer, n) != want {
			t.Errorf("%s: %v of %s, %v; back %s", want, got, issuer, ok, certs.ListPath(issuer, got))
		}
	}
	for _, bad := range []string{"", "/crl/", "/crl/signing", "/crl/signing/", "/crl/signing/.crl", "/crl/signing/03.crl", "/crl/signing/+3.crl",
		"/crl/signing/70000.crl", "/crl/signing/3", "/crl/signing/3.CRL", "/crl/signing/archive-delta.crl", "/crl/signing/3-delta-delta.crl",
		"/crl//3.crl", "/crl/signing/x/3.crl", "/crl/signing/Full.crl", "/ca/signing/3.crl", "/crl/signing/-delta.crl"} {
		if issuer, n, ok := certs.ParseListPath(bad); ok {
			t.Errorf("%q was taken for list %s of %q", bad, n, issuer)
		}
	}
}
