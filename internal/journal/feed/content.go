package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"cardinal/internal/journal"
)

// Content implements journal.Feed: what is read is checked against the hash, and ends with ErrUnreadable when it differs.
// When the way breaks, the rest is asked for from there on.
func (c *Client) Content(ctx context.Context, h journal.Hash) (io.ReadCloser, error) {
	path := "/v1/blob/" + h.String()
	body, err := c.open(ctx, path, 0)
	if err != nil {
		return nil, fmt.Errorf("opening content %s: %w", h, err)
	}
	return newCheckedReader(&resuming{client: c, ctx: ctx, path: path, body: body}, h), nil
}

// resuming is a download that goes on where it was cut.
type resuming struct {
	client *Client
	ctx    context.Context
	path   string
	body   io.ReadCloser // nil while it is cut
	at     int64
	tries  int // since something came
}

func (r *resuming) Read(p []byte) (int, error) {
	for {
		if r.body == nil {
			var err error
			if r.body, err = r.client.open(r.ctx, r.path, r.at); err != nil && !r.again(err) {
				return 0, err
			} else if err != nil {
				continue
			}
		}
		n, err := r.body.Read(p)
		r.at += int64(n)
		if n > 0 {
			r.tries = 0
		}
		if err == nil || errors.Is(err, io.EOF) || !r.again(err) {
			return n, err
		}
		_ = r.Close()
		r.body = nil
		if n > 0 {
			return n, nil
		}
	}
}

// again reports, after a pause, whether it is worth asking once more.
func (r *resuming) again(err error) bool {
	if r.tries == resumeTries || r.ctx.Err() != nil || errors.Is(err, journal.ErrRefused) || errors.Is(err, journal.ErrNoContent) || errors.Is(err, ErrUnreadable) {
		return false
	}
	r.tries++
	pause := time.NewTimer(time.Duration(r.tries) * resumePause)
	defer pause.Stop()
	select {
	case <-r.ctx.Done():
		return false
	case <-pause.C:
		return true
	}
}

func (r *resuming) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}

// open begins a download that may take as long as something comes, at an octet.
func (c *Client) open(ctx context.Context, path string, from int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	patience := time.AfterFunc(stepPatience, func() { cancel(errStalled) })
	body, err := c.try(ctx, call{method: http.MethodGet, path: path, from: from})
	if err != nil {
		patience.Stop()
		cancel(nil)
		return nil, err
	}
	return &download{body: body, patience: patience, cancel: cancel, ctx: ctx}, nil
}

var errStalled = errors.New("nothing came any more")

// download is a body that is given up when it stalls.
type download struct {
	body     io.ReadCloser
	patience *time.Timer
	ctx      context.Context
	cancel   context.CancelCauseFunc
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.body.Read(p)
	d.patience.Reset(stepPatience)
	if err != nil && !errors.Is(err, io.EOF) && d.ctx.Err() != nil {
		err = errors.Join(context.Cause(d.ctx), err)
	}
	return n, err
}

func (d *download) Close() error {
	d.patience.Stop()
	defer d.cancel(nil)
	return d.body.Close()
}
