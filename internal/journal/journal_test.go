package journal_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"crypto"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feedtest"
)

func TestMemoryIsAFeed(t *testing.T) {
	t.Parallel()
	feedtest.Run(t, func(*testing.T) (journal.Feed, feedtest.Writer) {
		m := journal.NewMemory()
		return m, feedtest.Writer{
			Append: func(k journal.Kind, v uint8, bodies ...[]byte) (journal.Position, error) {
				return m.Append(k, v, bodies...), nil
			},
			PutContent: func(data []byte) (journal.Hash, error) { return m.PutContent(data), nil },
			Beat:       func() error { m.Beat(); return nil },
		}
	})
}

// sample is a change with every field set, at a time that never changes.
func sample() journal.Change {
	c := journal.Change{Position: 7, Time: time.UnixMicro(1_780_000_000_123_456).UTC(), Kind: journal.KindStatusChanged,
		Version: 1, Last: true, Body: []byte("a body")}
	for i := range c.Salt {
		c.Salt[i] = byte(i)
	}
	c.BodyHash = journal.HashBody(c.Salt, c.Body)
	c.Link = c.LinkAfter(journal.Hash{0xaa})
	return c
}

// TestFormatIsTheOneWrittenEarlier holds the format still: these bytes must never come out otherwise.
func TestFormatIsTheOneWrittenEarlier(t *testing.T) {
	t.Parallel()
	c := sample()
	// The link by hand, from the formula in the package comment.
	input := []byte("cardinal journal link 1\x00")
	input = append(input, append([]byte{0xaa}, make([]byte, 31)...)...)
	input = append(input, 0, 0, 0, 0, 0, 0, 0, 7)
	input = append(input, 0x00, 0x06, 0x52, 0xe6, 0x8b, 0xb5, 0x22, 0x40)
	input = append(input, 0, 18, 1, 1)
	body := sha256.Sum256(append(c.Salt[:], "a body"...))
	input = append(input, body[:]...)
	if want := sha256.Sum256(input); c.Link != want {
		t.Errorf("link %s, by hand %x", c.Link, want)
	}
	const wire = "010000000000000007000652e68bb52240001201000102030" +
		"405060708090a0b0c0d0e0f066120626f6479"
	if got := hex.EncodeToString(journal.AppendChange(nil, &c)); got != wire+c.Link.String() {
		t.Errorf("wire form %s", got)
	}
}

func TestVerifyNoticesEveryField(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *journal.Change){
		"position":  func(c *journal.Change) { c.Position++ },
		"time":      func(c *journal.Change) { c.Time = c.Time.Add(time.Microsecond) },
		"kind":      func(c *journal.Change) { c.Kind++ },
		"version":   func(c *journal.Change) { c.Version++ },
		"last":      func(c *journal.Change) { c.Last = false },
		"salt":      func(c *journal.Change) { c.Salt[3]++ },
		"body":      func(c *journal.Change) { c.Body[0]++ },
		"body hash": func(c *journal.Change) { c.BodyHash[0]++ },
		"link":      func(c *journal.Change) { c.Link[31]++ },
		"erased":    func(c *journal.Change) { c.Erased = true },
	} {
		c := sample()
		if err := c.Verify(journal.Hash{0xaa}); err != nil {
			t.Fatal(err)
		}
		change(&c)
		var broken *journal.BrokenLink
		if err := c.Verify(journal.Hash{0xaa}); !errors.As(err, &broken) || broken.Position != c.Position {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	c := sample()
	if err := c.Verify(journal.Hash{0xab}); err == nil {
		t.Error("verified behind another link")
	}
}

func TestErasedChangeStillVerifies(t *testing.T) {
	t.Parallel()
	m := journal.NewMemory()
	m.Append(journal.KindEntryAdded, 1, []byte("born 1 May 1970"), []byte("second"))
	m.Append(journal.KindEntryAdded, 1, []byte("third"))
	m.Erase(1)
	head, err := journal.VerifyChain(t.Context(), m)
	if err != nil || head.Position != 3 {
		t.Errorf("head %d: %v", head.Position, err)
	}
	changes, err := m.Read(t.Context(), 0, 1)
	if err != nil || !changes[0].Erased || changes[0].Body != nil || changes[0].Salt != [16]byte{} {
		t.Errorf("%+v: %v", changes[0], err)
	}
	wire := journal.AppendChange(nil, &changes[0])
	read, rest, err := journal.ParseChange(wire)
	if err != nil || len(rest) != 0 || read.Verify(journal.Hash{}) != nil {
		t.Errorf("through the wire: %v", err)
	}
}

func TestVerifyChainNamesTheBrokenPosition(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(m *journal.Memory){
		"body":     func(m *journal.Memory) { m.Tamper(4, func(c *journal.Change) { c.Body[0] ^= 1 }) },
		"position": func(m *journal.Memory) { m.Tamper(4, func(c *journal.Change) { c.Position = 5 }) },
		"time": func(m *journal.Memory) {
			m.Tamper(4, func(c *journal.Change) { c.Time = c.Time.Add(-time.Hour) })
		},
		"mended link": func(m *journal.Memory) {
			// A change and its link rewritten together: seen one behind, by the next one's link … unless that is mended too.
			var previous journal.Hash
			m.Tamper(3, func(c *journal.Change) { previous = c.Link })
			m.Tamper(4, func(c *journal.Change) { c.Kind = journal.KindCheckpoint; c.Link = c.LinkAfter(previous) })
		},
	} {
		m := journal.NewMemory()
		for range 8 {
			m.Append(journal.KindEntryAdded, 1, []byte("body"))
		}
		spoil(m)
		want := journal.Position(4)
		if name == "mended link" {
			want = 5
		}
		var broken *journal.BrokenLink
		if _, err := journal.VerifyChain(t.Context(), m); !errors.As(err, &broken) || broken.Position != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// shorter is a feed whose journal ends before its head.
type shorter struct{ journal.Feed }

func (s shorter) Read(ctx context.Context, after journal.Position, limit int) ([]journal.Change, error) {
	changes, err := s.Feed.Read(ctx, after, limit)
	return changes[:min(len(changes), 3)], err
}

func TestVerifyChainWantsTheWholeJournal(t *testing.T) {
	t.Parallel()
	m := journal.NewMemory()
	m.Append(journal.KindEntryAdded, 1, []byte("1"), []byte("2"), []byte("3"), []byte("4"))
	if _, err := journal.VerifyChain(t.Context(), shorter{m}); err != nil {
		t.Errorf("in pieces: %v", err)
	}
	m.Tamper(4, func(c *journal.Change) { c.Last = false; c.Seal(journal.Hash{}) })
	if _, err := journal.VerifyChain(t.Context(), m); err == nil {
		t.Error("a head within a transaction was accepted")
	}
	trusted := journal.Verifier{Position: 9}
	if _, err := journal.VerifyChainAfter(t.Context(), m, trusted); err != nil {
		t.Errorf("a feed behind a trusted position has nothing to verify: %v", err)
	}
}

func TestRestoredMemoryShowsAnotherHistory(t *testing.T) {
	t.Parallel()
	m := journal.NewMemory()
	for range 5 {
		m.Append(journal.KindEntryAdded, 1, []byte("body"))
	}
	old, _ := m.Head(t.Context())
	m.Restore(3)
	head, err := journal.VerifyChain(t.Context(), m)
	if err != nil || head.Epoch != old.Epoch+1 || head.Position != 4 || !head.Quarantine {
		t.Errorf("head %+v: %v", head, err)
	}
	m.SetQuarantine(false)
	m.SetFault(func(operation string) error { return errors.New(operation) })
	if _, err := m.Head(t.Context()); err == nil || err.Error() != "head" {
		t.Errorf("fault: %v", err)
	}
}

func TestCheckpointIsSignedAndRead(t *testing.T) {
	t.Parallel()
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	keys := []crypto.Signer{ec, ed}
	if !testing.Short() {
		rs, _ := rsa.GenerateKey(rand.Reader, 2048)
		keys = append(keys, rs)
	}
	for _, key := range keys {
		signed, err := journal.Checkpoint{Epoch: 2, Position: 9, Time: time.UnixMicro(5).UTC(), Link: journal.Hash{1}, Scope: "ledger", State: journal.Hash{2}}.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		read, err := journal.ParseCheckpoint(signed.Append(nil))
		if err != nil || read.Checkpoint != signed.Checkpoint || read.Key != signed.Key {
			t.Fatalf("%+v: %v", read, err)
		}
		if err := read.Verify(key.Public()); err != nil {
			t.Errorf("%T: %v", key, err)
		}
		if err := read.Verify(other.Public()); !errors.Is(err, journal.ErrBadSignature) {
			t.Errorf("%T: another key: %v", key, err)
		}
		read.State[0] ^= 1
		if err := read.Verify(key.Public()); !errors.Is(err, journal.ErrBadSignature) {
			t.Errorf("%T: changed statement: %v", key, err)
		}
	}
}

func TestKindsHaveOneClass(t *testing.T) {
	t.Parallel()
	for k, want := range map[journal.Kind]journal.Class{
		journal.KindStatusChanged: journal.ClassPublic, journal.KindEntriesModified: journal.ClassPublic,
		journal.KindSecretsChanged: journal.ClassNodeOnly, 999: journal.ClassNodeOnly,
	} {
		if k.Class() != want || k.Known() == (k == 999) || k.String() == "" {
			t.Errorf("%s: class %d, known %v", k, k.Class(), k.Known())
		}
	}
}

func TestHashesAreParsedStrictly(t *testing.T) {
	t.Parallel()
	h := journal.Hash{1, 0xff}
	if got, err := journal.ParseHash(h.String()); err != nil || got != h {
		t.Errorf("%s: %v", got, err)
	}
	for _, bad := range []string{"", "00", h.String() + "00", "zz" + h.String()[2:]} {
		if _, err := journal.ParseHash(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
