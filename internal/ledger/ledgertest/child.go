package ledgertest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// The environment of a child process: the database, and at which external write it ends itself (0: it is killed from
// outside), with "before" or "after".
const (
	childURL  = "CARDINAL_LEDGERTEST_URL"
	childStep = "CARDINAL_LEDGERTEST_STEP"
	childWhen = "CARDINAL_LEDGERTEST_WHEN"
)

// Child runs the writing process that the kill tests start, and never returns in it. TestMain calls it first.
func Child() {
	url := os.Getenv(childURL)
	if url == "" {
		return
	}
	if err := child(url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(url string) error {
	step, err := strconv.Atoi(os.Getenv(childStep))
	if err != nil {
		return err
	}
	ctx := context.Background()
	l, err := ledger.Open(ctx, ledger.Options{URL: url, Rooms: Rooms(), Faults: killAt(step, os.Getenv(childWhen))})
	if err != nil {
		return err
	}
	head, err := l.Head(ctx)
	if err != nil {
		return err
	}
	var out sync.Mutex // a line is one write(2): what the parent reads was acknowledged
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := int(head.Position)*1000 + i*4 + w
				name := fmt.Sprintf("item %d", id)
				p, err := l.Write(ctx, func(tx *ledger.Tx) error {
					tx.Append(journal.KindStatusChanged, 1, []byte("filler"))
					if _, err := tx.PutContent([]byte(name)); err != nil {
						return err
					}
					tx.Append(journal.KindEntryAdded, 1, []byte(name))
					tx.Defer(insertItem, id, name, nil)
					return nil
				})
				if err != nil {
					return
				}
				out.Lock()
				fmt.Printf("%d %s\n", p, name)
				out.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

// killAt ends this process without warning at its n-th external write.
func killAt(n int, when string) *ledger.Faults {
	var count atomic.Int64
	hook := func(string) error {
		if n > 0 && count.Add(1) == int64(n) {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	if when == "before" {
		return &ledger.Faults{Before: hook}
	}
	return &ledger.Faults{After: hook}
}

// runChild starts a writer and returns what it acknowledged until it was killed.
func runChild(t *testing.T, url string, step int, when string) map[string]journal.Position {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childURL+"="+url, childStep+"="+strconv.Itoa(step), childWhen+"="+when)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer limit.Stop()
	acknowledged := map[string]journal.Position{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		position, name, _ := strings.Cut(lines.Text(), " ")
		p, err := strconv.ParseUint(position, 10, 64)
		if err != nil {
			t.Errorf("the child printed %q", lines.Text())
		}
		acknowledged[name] = journal.Position(p)
		if step == 0 && len(acknowledged) == 100 {
			cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child was not killed")
	}
	return acknowledged
}

// killed kills a writer between every two of its first external writes, and at some moment, on one database, and looks
// at what is left each time.
func killed(t *testing.T, e Engine) {
	url := e.URL(t)
	l := create(t, ledger.Options{URL: url})
	l.Close()
	all := map[string]journal.Position{}
	for step := range 8 {
		for _, when := range []string{"before", "after"} {
			for name, p := range runChild(t, url, step, when) {
				all[name] = p
			}
			after := open(t, ledger.Options{URL: url})
			verify(t, after)
			checkAcknowledged(t, after, all)
			write(t, after, func(tx *ledger.Tx) error { // and it goes on
				tx.Append(journal.KindStatusChanged, 1, []byte("after"))
				return nil
			})
			if err := after.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Logf("%d acknowledged writes by killed processes", len(all))
	if strings.HasPrefix(url, "sqlite:") {
		if left, _ := filepath.Glob(strings.TrimPrefix(url, "sqlite:") + "-*"); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
