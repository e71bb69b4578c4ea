package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

var (
	errNoNode       = errors.New("no node to watch: give --url http://HOST:PORT of its operations port, or --dir of one that serves")
	errNotMonitored = errors.New("what answers there is no operations port")
	errEvery        = errors.New("is shorter than 100ms")
)

// monitorTimeout bounds one reading.
const monitorTimeout = 5 * time.Second

func monitorCommand(a *app) *cobra.Command {
	var dir, url string
	var once bool
	var every time.Duration
	c := &cobra.Command{Use: "monitor", Short: "Watch a serving node: rates, times, age, costly searches", Args: cobra.NoArgs,
		Long: `Watches a serving node by its operations port, and shows each second what it does: operations by kind with
the times within which half, 95 and 99 of 100 ended, connections, the age of the replica, status answers, and
the searches that looked at many more entries than they found, with the index that would help
(directory.indexes.add in cardinal.yaml). q or Ctrl-C ends it. Where standard output is no terminal each
reading is plain text, with --json a line.`,
		Example: "  cardinal monitor --dir cards\n  cardinal monitor --url http://127.0.0.1:9090 --once --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return usage("--every "+every.String(), errEvery)
			}
			if dir = or(dir, a.env("CARDINAL_DIR")); url == "" && dir != "" {
				announced, err := readReady(dir)
				if err != nil {
					return usage("finding the node that serves "+dir, err)
				}
				url = announced.Operations
			}
			if url == "" {
				return usage("monitor", errNoNode)
			}
			w := &watch{app: a, url: url, every: every, once: once, client: &http.Client{Timeout: monitorTimeout}}
			defer w.client.CloseIdleConnections()
			return failing("monitor", w.run(cmd.Context()))
		}}
	dirFlag(c, &dir)
	c.Flags().StringVar(&url, "url", "", "operations port of the node (default: what serve in --dir announced)")
	c.Flags().BoolVar(&once, "once", false, "show one reading and end")
	c.Flags().DurationVar(&every, "every", time.Second, "time between readings")
	return c
}

// watch reads a node again and again.
type watch struct {
	*app
	url    string
	every  time.Duration
	once   bool
	client *http.Client
	last   *nodeReport
}

// run shows readings until ctx ends, somebody says q, or after one with once.
// A node that does not answer is waited for, once it has been seen.
func (w *watch) run(ctx context.Context) error {
	var err error
	if w.last, err = w.read(ctx); err != nil {
		return err
	}
	t := w.terminal()
	if t == nil {
		return w.print(ctx)
	}
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	if err := t.open(quit); err != nil {
		return err
	}
	defer t.close()
	ticks := time.NewTicker(w.every)
	defer ticks.Stop()
	v := viewOf(w.last, w.last)
	for {
		t.draw(serverName(w.url), v)
		select {
		case <-ctx.Done():
			return nil
		case <-t.resized:
		case <-ticks.C:
			v = w.next(ctx)
		}
	}
}

// next reads again; a node that is gone is told in the view.
func (w *watch) next(ctx context.Context) *monitorView {
	now, err := w.read(ctx)
	if err != nil {
		v := viewOf(w.last, w.last)
		v.Ready, v.Why = false, []string{"it does not answer: " + err.Error()}
		return v
	}
	v := viewOf(w.last, now)
	w.last = now
	return v
}

// print shows readings as text or lines of JSON.
func (w *watch) print(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(w.every):
		}
		v := w.next(ctx)
		if w.json {
			if err := w.printJSON(v); err != nil {
				return err
			}
		} else if _, err := io.WriteString(w.out, plain(serverName(w.url), v)+"\n"); err != nil {
			return err
		}
		if w.once {
			return nil
		}
	}
}

// read asks the node for what it has counted.
func (w *watch) read(ctx context.Context) (*nodeReport, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/monitor", nil)
	if err != nil {
		return nil, usage("--url "+w.url, err)
	}
	answer, err := w.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("reading %s/monitor: %w", w.url, err)
	}
	r := &nodeReport{}
	if answer.StatusCode != http.StatusOK || json.NewDecoder(bytes.NewReader(body)).Decode(r) != nil || r.At.IsZero() {
		return nil, usage("reading "+w.url+"/monitor", errNotMonitored)
	}
	return r, nil
}
