package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"cardinal/internal/journal/feed"
)

// Where the roles of a folder are split, the process that reads tells the one that writes how far its copy is, over the
// socket by which it has its responder keys certified, so that whoever waits for a change waits for this copy as well.

// standingPath is where it tells; the name of its copy is a parameter, what it says is the body.
const standingPath = "/standing"

const (
	// standingEvery is how often it tells though nothing has changed: many times before it would count as away.
	standingEvery = time.Second
	// standingWait is how long it waits for the write role to hear it.
	standingWait = 2 * time.Second
	// maxStanding bounds what it says.
	maxStanding = 1 << 10
)

// readsBeside reports whether this process reads the ledger that another process of the folder writes.
func (n *node) readsBeside() bool { return n.read != nil && n.write == nil && n.follower == nil }

// hearStanding is the write role's side.
func (n *node) hearStanding(w http.ResponseWriter, r *http.Request) {
	name := feed.CopyPrefix + r.URL.Query().Get("copy")
	if r.Method == http.MethodDelete {
		n.feed.leases.Forget(name)
		if err := n.feed.register.DropLease(r.Context(), name); err != nil {
			n.logger.Warn("a copy has ended", "error", err)
		}
		return
	}
	said, err := io.ReadAll(io.LimitReader(r.Body, maxStanding))
	if err != nil {
		return
	}
	lease, err := feed.ParseLease(said)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.feed.leases.Note(name, lease, n.now())
}

// tellStanding tells how far the copy here is, whenever it is further, until ctx ends. Nobody is told while no write role
// serves: then nothing changes either.
func (n *node) tellStanding(ctx context.Context) error {
	way := n.folder.writeRole()
	defer way.CloseIdleConnections()
	client := &http.Client{Transport: way, Timeout: standingWait}
	for ctx.Err() == nil {
		s := n.ownState()
		_ = n.say(ctx, client, http.MethodPut, s.Lease.Append(nil))
		waiting, cancel := context.WithTimeout(ctx, standingEvery)
		if err := n.read.replica.WaitFor(waiting, s.Position+1); err != nil {
			<-waiting.Done()
		}
		cancel()
	}
	client.Timeout = leaveWait
	return n.say(context.WithoutCancel(ctx), client, http.MethodDelete, nil)
}

func (n *node) say(ctx context.Context, client *http.Client, method string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://folder"+standingPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	query := request.URL.Query()
	query.Set("copy", copyName(n.addresses.Status))
	request.URL.RawQuery = query.Encode()
	answer, err := client.Do(request)
	if err != nil {
		return nil // nobody writes at the moment
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the write role of this folder answered %s", answer.Status)
	}
	return nil
}
