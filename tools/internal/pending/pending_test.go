package pending_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
	"cardinal/tools/internal/pending"
)

func TestWhatIsKeptIsAskedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := card.OpenSimulated(filepath.Join(dir, "card"), card.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	path := filepath.Join(dir, "card.pending")
	if r, err := pending.Read(path); r != nil || err != nil {
		t.Fatalf("before anything was asked: %v, %v", r, err)
	}
	o := pending.Order{Card: c, PIN: "000000", Algorithm: card.P256, RequestID: "desk-1", Subject: "case"}
	var wrong *card.PINError
	if _, err := pending.Make(path, o); !errors.As(err, &wrong) || wrong.Retries != 2 {
		t.Errorf("with a wrong PIN: %v", err)
	}
	o.PIN = card.DefaultPIN
	made, err := pending.Make(path, o)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := pending.Read(path)
	if err != nil || !reflect.DeepEqual(kept.Pair(), made.Pair()) || kept.Pair().Attestation == nil || kept.Proof != nil {
		t.Errorf("kept %+v: %v", kept, err)
	}
	o.Proven = time.Now() // the keys just made prove that the card lies here
	if proven, err := pending.Make(path, o); err != nil || proven.Proof == nil {
		t.Errorf("proving: %v", err)
	}
	if err := made.Complete(c, api.Certificates{Authentication: "none"}); err == nil {
		t.Error("an answer without certificates was taken")
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Read(path); err == nil {
		t.Error("half a request was taken for none")
	}
}
