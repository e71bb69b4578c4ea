package server

import (
	"encoding/json"
	"testing"

	"cardinal/issuance/api"
)

// FuzzBodies holds that no body makes the reader panic, and that what it takes
// survives being written and read again.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"given":"Alex","family":"Example","birth":"1980-02-29","evidence":{"documents":[{"kind":"passport","number":"1","photo":true}]},"photo":"AAEC","distinct_from":["123456789012"]}`,
		`{"request_id":"r","authentication_csr":"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n","proof":{"signed_at":"2026-01-01T00:00:00Z","signature":"AA=="}}`,
		`{"reason":"lost","since":"2026-01-01T00:00:00Z","passcode_known":true}`,
		`{"issuer":"root","shard":1e0}`, `[[[[[[[[[[`, `{"a":{"a":`, `null`, "\x00", `{"photo":{}}`, `{"evidence":[]}`, `{} x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		again(t, data, decode[api.NewPerson])
		again(t, data, decode[api.PersonChange])
		again(t, data, decode[api.CancelCard])
		again(t, data, decode[api.PublishLists])
		if p := again(t, data, decode[api.PairRequest]); p != nil {
			_, _ = pairIn(p)
		}
	})
}

func again[T any](t *testing.T, data []byte, read func([]byte) (*T, error)) *T {
	value, err := read(data)
	if err != nil {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return value // a time beyond the year 9999 is read and cannot be written
	}
	var back T
	if err := json.Unmarshal(text, &back); err != nil {
		t.Errorf("%q was read, written as %q, and not read again: %v", data, text, err)
	}
	return value
}
