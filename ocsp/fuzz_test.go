package ocsp_test

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/ocsp"
)

func FuzzParseRequest(f *testing.F) {
	a := newAuthority(f, "authentication")
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		id := idOf(a, h, big.NewInt(0x7f3344))
		f.Add(requestFor(id).der(f))
		f.Add(requestFor(id, id).nonce([]byte{4, 2, 1, 2}).der(f))
		f.Add(requestFor(id).nonce([]byte{1, 2, 3}).der(f))
	}
	named := requestFor(idOf(a, crypto.SHA1, big.NewInt(-5)))
	named.TBS.Requestor = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: []byte{0x82, 1, 'h'}}
	f.Add(named.der(f))
	f.Add([]byte{})
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, der []byte) {
		var r ocsp.Request
		err := r.ParseRequest(der, 8)
		if err != nil {
			if !errors.Is(err, ocsp.ErrMalformed) {
				t.Errorf("%v does not wrap ErrMalformed", err)
			}
			return
		}
		if len(r.CertIDs) == 0 || len(r.CertIDs) > 8 || len(r.Nonce) > 131 {
			t.Errorf("%d certificates, nonce of %d octets", len(r.CertIDs), len(r.Nonce))
		}
		for _, id := range r.CertIDs {
			if !bytes.Contains(der, id.Raw) || len(id.Serial) > 64 || len(id.Serial) > 0 && id.Serial[0] == 0 {
				t.Errorf("certificate %+v", id)
			}
		}
		// What another parser reads of the first certificate is the same.
		other, err := xocsp.ParseRequest(der)
		if err == nil && other.SerialNumber.Sign() > 0 && !bytes.Equal(other.SerialNumber.Bytes(), r.CertIDs[0].Serial) {
			t.Errorf("serial %x, another parser reads %x", r.CertIDs[0].Serial, other.SerialNumber.Bytes())
		}
	})
}
