package card

import (
	"errors"
	"testing"
)

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte{0, 0xA4, 4, 0, 2, 0xA0, 0})
	f.Add([]byte{0, 0xC0, 0, 0, 0})
	f.Add([]byte{0, 0xDB, 0x3F, 0xFF, 0, 1, 0})
	f.Fuzz(func(t *testing.T, apdu []byte) {
		c, err := parseCommand(apdu)
		if err != nil {
			return
		}
		again, err := parseCommand(c.appendTo(nil))
		if err != nil || string(again.data) != string(c.data) || again.ins != c.ins {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"format":1,"serial":1,"pin":{"value":"MTIzNDU2//8=","left":3,"tries":3},"puk":{"value":"MTIzNDU2Nzg=","left":3,"tries":3},"management":{"algorithm":3,"key":"AQIDBAUGBwgBAgMEBQYHCAECAwQFBgcI"}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseState(text)
		if err == nil && (s.Keys == nil || s.Objects == nil || len(s.PIN.Value) != pinLength) {
			t.Errorf("%+v", s)
		}
	})
}

// mumbler answers whatever it was made with, in turn.
type mumbler struct{ answers []byte }

func (m *mumbler) Transmit([]byte) ([]byte, error) {
	if len(m.answers) == 0 {
		return nil, errors.New("gone")
	}
	n := min(int(m.answers[0]), len(m.answers)-1)
	answer := m.answers[1 : 1+n]
	m.answers = m.answers[1+n:]
	return answer, nil
}

// FuzzClient lets a card answer anything: the client never panics.
func FuzzClient(f *testing.F) {
	f.Add([]byte("\x02\x90\x00\x06\x00\x00\x00\x01\x90\x00"))
	f.Add([]byte("\x02\x90\x00\x05\x01\x01\x03\x90\x00\x0e\x7c\x0a\x80\x08abcdefgh\x90\x00"))
	f.Add([]byte("\x02\x90\x00\x04\x53\x00\x61\x05"))
	f.Fuzz(func(t *testing.T, answers []byte) {
		for step := range 5 {
			c, err := New(&mumbler{answers}, nil)
			if err != nil {
				return
			}
			switch step {
			case 0:
				_, _ = c.Serial()
				_, _ = c.Retries()
			case 1:
				_, _ = c.GenerateKey(SlotAuthentication, P256)
			case 2:
				_, _ = c.Signer(SlotSignature, "123456")
			case 3:
				_, _ = c.Attest(SlotAuthentication)
			case 4:
				_, _ = c.Certificate(SlotAuthentication)
			}
		}
	})
}
