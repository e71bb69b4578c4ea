package card_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cardinal/issuance/card"
)

func openApplet(t testing.TB) *card.Applet {
	t.Helper()
	return openAppletIn(t, t.TempDir())
}

func openAppletIn(t testing.TB, folder string) *card.Applet {
	t.Helper()
	a, err := card.OpenApplet(filepath.Join(folder, "card.json"), card.Options{Create: true, Serial: 0x01020304})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// inMemory is a folder that is in no disk's way, where there is one: a card is synced with each command, and the fuzzer
// gives an input ten seconds.
func inMemory(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "applet-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// TestAppletAnswers reads testdata/apdu/*.txt: a name, then commands (>) and
// the start or the whole of each answer (<, whole when it ends in a full stop),
// in hexadecimal; "power" switches off and on. Each file has a new card.
func TestAppletAnswers(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/apdu/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("vectors: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			follow(t, openApplet(t), string(text))
		})
	}
}

func follow(t *testing.T, a *card.Applet, text string) {
	t.Helper()
	var answer string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		direction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.ReplaceAll(rest, " ", "")
		switch direction {
		case "power":
			a.Power()
		case ">":
			apdu, err := hex.DecodeString(rest)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Transmit(apdu)
			if err != nil {
				t.Fatal(err)
			}
			answer = hex.EncodeToString(got)
		case "<":
			if !strings.HasPrefix(answer+".", strings.ToLower(rest)) {
				t.Fatalf("after %q\n got %s\nwant %s", line, answer, rest)
			}
		}
	}
}

func TestClosedAppletIsGone(t *testing.T) {
	t.Parallel()
	a := openApplet(t)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Transmit([]byte{0, 0xA4, 4, 0}); !errors.Is(err, card.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestReaderProtocol plays the virtual reader of vsmartcard.
func TestReaderProtocol(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a := openApplet(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- card.ServeReader(ctx, listener.Addr().String(), a) }()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	say(t, conn, []byte{1}) // on: no answer
	say(t, conn, []byte{4})
	if atr := hear(t, conn); !bytes.Equal(atr, a.ATR()) || atr[0] != 0x3B {
		t.Errorf("ATR %x", atr)
	}
	sel := []byte{0, 0xA4, 4, 0, 5, 0xA0, 0, 0, 3, 8}
	say(t, conn, sel)
	if answer := hear(t, conn); !bytes.HasSuffix(answer, []byte{0x90, 0}) {
		t.Errorf("SELECT: %x", answer)
	}
	verify := append([]byte{0, 0x20, 0, 0x80, 8}, "123456\xff\xff"...)
	say(t, conn, verify)
	hear(t, conn)
	say(t, conn, []byte{2}) // reset forgets the PIN
	say(t, conn, sel)
	hear(t, conn)
	say(t, conn, []byte{0, 0x20, 0, 0x80})
	if answer := hear(t, conn); !bytes.Equal(answer, []byte{0x63, 0xC3}) {
		t.Errorf("after a reset: %x", answer)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("ended by its context: %v", err)
	}
}

func say(t *testing.T, w io.Writer, message []byte) {
	t.Helper()
	if _, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(r, message); err != nil {
		t.Fatal(err)
	}
	return message
}

// FuzzApplet sends a series of commands, each with its length before it: every
// answer has status bytes and is short, and nothing makes the card panic.
func FuzzApplet(f *testing.F) {
	sel := "\x0a\x00\xa4\x04\x00\x05\xa0\x00\x00\x03\x08"
	f.Add([]byte(sel + "\x0d\x00\x20\x00\x80\x08123456\xff\xff"))
	f.Add([]byte(sel + "\x0a\x00\xcb\x3f\xff\x05\x5c\x03\x5f\xff\x01" + "\x05\x00\xc0\x00\x00\x00"))
	f.Add([]byte(sel + "\x09\x00\x87\x03\x9b\x04\x7c\x02\x80\x00" + "\x09\x00\x47\x00\x9a\x05\xac\x03\x80\x01\x11"))
	f.Add([]byte(sel + "\x07\x10\xdb\x3f\xff\x02\x5c\x03" + "\x05\x00\xf7\x00\x9b\x00" + "\x05\x00\xf9\x9a\x00\x00"))
	f.Fuzz(func(t *testing.T, series []byte) {
		a := openAppletIn(t, inMemory(t))
		for len(series) > 0 {
			n := min(int(series[0]), len(series)-1)
			answer, err := a.Transmit(series[1 : 1+n])
			if err != nil || len(answer) < 2 || len(answer) > 258 {
				t.Fatalf("answer %x, %v", answer, err)
			}
			series = series[1+n:]
		}
	})
}
