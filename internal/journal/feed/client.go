package feed

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cardinal/internal/journal"
)

// ClientConfig says whom to ask, and as whom. URLs and TLS are required.
type ClientConfig struct {
	// URLs are https://host:port of writers of one ledger. The first that answers is asked until it does not.
	URLs []string
	// TLS holds the node's certificate and the roots writers are verified against. TLS 1.3 is spoken whatever it says.
	TLS    *tls.Config
	Lease  func() Lease     // what the node says of itself; nil: nothing
	Now    func() time.Time // the wall clock that is compared with the writer's; nil: time.Now
	Logger *slog.Logger     // nil: silent

	longer time.Duration // how much longer than dialPatience and answerPatience it waits: tests stand still with their machine
}

// Client is a journal.Feed over the network. Safe for concurrent use.
type Client struct {
	config  ClientConfig
	http    atomic.Pointer[http.Client]
	current atomic.Int64 // index of the URL that answered last
	counted counted

	mu      sync.Mutex
	known   time.Time        // the newest head's time
	head    journal.Position // the newest that was told
	pending *told            // what Wait was told and nobody has taken
	name    string           // of the writer's configuration, as told last
	renamed chan struct{}    // closed and replaced when that is another
}

var _ journal.Dated = (*Client)(nil)

// told is one answer about the journal.
type told struct {
	outline
	changes []journal.Change
	asked   time.Time // on the monotonic clock; the head was true then, or later
}

type counted struct {
	dials, bytes atomic.Uint64
	clocks       atomic.Pointer[clocks]
	skewSaid     atomic.Bool
}

// clocks are this host's clock at a moment, that moment on the monotonic clock, and how far the writer's was ahead of this
// host's, less what may be the way's.
type clocks struct {
	here, at time.Time
	skew     time.Duration
}

// Counts are what a client counted since it was made.
type Counts struct {
	Connections uint64           // made; the first is one
	Bytes       uint64           // received in answers
	Skew        time.Duration    // the writer's clock less this host's, as far as it is certain
	URL         string           // of the writer that is asked
	Head        journal.Position // of the journal, when last told
}

// NewClient makes a Client; nothing is asked yet. Close ends its connections.
func NewClient(c ClientConfig) (*Client, error) {
	if len(c.URLs) == 0 || c.TLS == nil {
		return nil, errors.New("following needs the address of a writer and a certificate")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	x := &Client{config: c, renamed: make(chan struct{})}
	x.counted.clocks.Store(&clocks{here: c.Now(), at: time.Now()})
	for i, url := range c.URLs {
		x.config.URLs[i] = strings.TrimSuffix(url, "/")
	}
	x.Reconnect()
	return x, nil
}

func (c *ClientConfig) answerPatience() time.Duration { return answerPatience + c.longer }

// transport makes connections with the certificate that counts now.
func (c *Client) transport() *http.Client {
	secure := c.config.TLS.Clone()
	secure.MinVersion, secure.NextProtos = tls.VersionTLS13, []string{"http/1.1"}
	patience := dialPatience + c.config.longer
	dialer := &net.Dialer{Timeout: patience, KeepAlive: 15 * time.Second}
	transport := &http.Transport{TLSClientConfig: secure, TLSHandshakeTimeout: patience, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		DisableCompression: true, Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c.counted.dials.Add(1)
			return dialer.DialContext(ctx, network, address)
		}}
	transport.Protocols.SetHTTP1(true)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Reconnect has every question that begins afterwards asked on a new connection. A connection shows the certificate it was
// made with as long as it stands, so this belongs after a renewal: the writer refuses what is asked as an ended one.
func (c *Client) Reconnect() {
	if old := c.http.Swap(c.transport()); old != nil {
		old.CloseIdleConnections() // those in use are closed when they have been idle for a while
	}
}

// Close ends idle connections. What is under way goes on.
func (c *Client) Close() error {
	c.http.Load().CloseIdleConnections()
	return nil
}

// Counts gives what was counted so far.
func (c *Client) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counts{Head: c.head, Connections: c.counted.dials.Load(), Bytes: c.counted.bytes.Load(), Skew: c.Skew(),
		URL: c.config.URLs[c.at()]}
}

// Skew is how far the writer's clock is ahead of this host's, as far as it is certain: as it was at the last answer, and by
// how much this host's clock has been set since, or the host was asleep.
func (c *Client) Skew() time.Duration {
	then := c.counted.clocks.Load()
	leapt := c.config.Now().Round(0).Sub(then.here.Round(0)) - time.Since(then.at)
	return then.skew - leapt
}

// Configuration is the name of the writer's configuration as it was told last, "" before that, and a channel that is
// closed when it is told another.
func (c *Client) Configuration() (name string, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name, c.renamed
}

func (c *Client) hearConfiguration(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name != "" && name != c.name {
		c.name = name
		close(c.renamed)
		c.renamed = make(chan struct{})
	}
}

func (c *Client) at() int { return int(c.current.Load()) % len(c.config.URLs) }

// Head implements journal.Feed: it asks each time.
func (c *Client) Head(ctx context.Context) (journal.Head, error) {
	t, err := c.ask(ctx, question{})
	if err != nil {
		return journal.Head{}, err
	}
	return t.head, nil
}

// HeadSince implements journal.Dated: a head that Wait was told of is given once.
func (c *Client) HeadSince(ctx context.Context) (journal.Head, time.Duration, error) {
	c.mu.Lock()
	t := c.pending
	fresh := t != nil && !t.taken()
	if fresh {
		c.pending = &told{changes: t.changes}
	}
	c.mu.Unlock()
	if !fresh {
		var err error
		if t, err = c.ask(ctx, question{}); err != nil {
			return journal.Head{}, 0, err
		}
	}
	return t.head, time.Since(t.asked) - t.held, nil
}

// taken: the head was given away, the changes are still there.
func (t *told) taken() bool { return t.asked.IsZero() }

// Read implements journal.Feed.
func (c *Client) Read(ctx context.Context, after journal.Position, limit int) ([]journal.Change, error) {
	c.mu.Lock()
	if t := c.pending; t != nil && len(t.changes) > 0 {
		changes := t.changes
		t.changes = nil
		if changes[0].Position == after+1 {
			c.mu.Unlock()
			return changes, nil
		}
	}
	c.mu.Unlock()
	t, err := c.ask(ctx, question{after: after, limit: max(1, min(limit, maxBatch))})
	if err != nil {
		return nil, err
	}
	return t.changes, nil
}

// waitBatch is how many changes may come along with the end of a wait.
const waitBatch = 512

// Wait implements journal.Feed. A heartbeat between the last head this client was told of and the call ends it too.
func (c *Client) Wait(ctx context.Context, after journal.Position) error {
	c.mu.Lock()
	since := c.known
	c.mu.Unlock()
	if since.IsZero() {
		head, err := c.Head(ctx)
		if err != nil || head.Position > after {
			return err
		}
		since = head.Time
	}
	for {
		t, err := c.ask(ctx, question{after: after, limit: waitBatch, wait: maxWait, since: since})
		if err != nil {
			return err
		}
		if t.head.Position > after || t.head.Time.After(since) {
			c.mu.Lock()
			c.pending = t
			c.mu.Unlock()
			return nil
		}
	}
}

// ask asks about the journal, one writer after another until one answers.
func (c *Client) ask(ctx context.Context, q question) (*told, error) {
	path := fmt.Sprintf("/v1/journal?after=%d&limit=%d&wait=%d&since=%d", q.after, q.limit, q.wait.Milliseconds(), max(0, q.since.UnixMicro()))
	ctx, cancel := context.WithTimeout(ctx, q.wait+c.config.answerPatience())
	defer cancel()
	asked := time.Now()
	body, err := c.get(ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	t := &told{asked: asked}
	if t.outline, t.changes, err = readAnswer(body); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", c.config.URLs[c.at()], err)
	}
	c.compareClocks(t)
	c.mu.Lock()
	if t.head.Time.After(c.known) {
		c.known = t.head.Time
	}
	c.head = t.head.Position
	c.mu.Unlock()
	return t, nil
}

// compareClocks notes how far the writer's clock is from this one's, less the time the answer was on its way: a held-up
// answer is no wrong clock.
func (c *Client) compareClocks(t *told) {
	here := c.config.Now()
	way := max(0, time.Since(t.asked)-t.held)
	skew := t.now.Sub(here.Add(-way / 2))
	certain := max(0, skew.Abs()-way/2)
	if skew < 0 {
		certain = -certain
	}
	c.counted.clocks.Store(&clocks{here, time.Now(), certain})
	if far := certain.Abs() > MaxSkew; far != c.counted.skewSaid.Swap(far) {
		if far {
			c.config.Logger.Error("this host's clock and the writer's differ: set this one right, answers are dated by it", "writer ahead by", certain)
		} else {
			c.config.Logger.Info("this host's clock and the writer's agree again")
		}
	}
}

// get asks for a path, at one writer after another, and returns the body of a good answer.
func (c *Client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.try(ctx, call{method: http.MethodGet, path: path})
}

// call is a question as it goes to any writer.
type call struct {
	method, path string
	body         []byte
	from         int64 // of what is asked for, the octets from here on
}

// Post sends a body and returns that of the answer, at most limit bytes of it.
func (c *Client) Post(ctx context.Context, path string, body []byte, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.answerPatience())
	defer cancel()
	r, err := c.try(ctx, call{method: http.MethodPost, path: path, body: body})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readUpTo(r, limit)
}

// Get is Post without a body.
func (c *Client) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.answerPatience())
	defer cancel()
	r, err := c.get(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readUpTo(r, limit)
}

func readUpTo(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: an answer of more than %d bytes", ErrUnreadable, limit)
	}
	return data, err
}

// try goes through the writers. One that answers, though it refuses, is the one.
func (c *Client) try(ctx context.Context, q call) (io.ReadCloser, error) {
	var failed []error
	for range c.config.URLs {
		at := c.at()
		answer, err := c.once(ctx, c.config.URLs[at], q)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
			return nil, ctx.Err()
		}
		failed = append(failed, fmt.Errorf("asking %s: %w", c.config.URLs[at], err))
		var told *Problem
		if errors.As(err, &told) && told.Status != http.StatusServiceUnavailable || ctx.Err() != nil {
			break
		}
		c.current.CompareAndSwap(int64(at), int64(at+1)%int64(len(c.config.URLs)))
	}
	if err := ctx.Err(); err != nil { // the connection that did not answer is not asked again
		c.http.Load().CloseIdleConnections()
		failed = append(failed, err) // a writer that heard of it first may have answered yet
	}
	return nil, errors.Join(failed...)
}

func (c *Client) once(ctx context.Context, writer string, q call) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, q.method, writer+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	if q.from > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", q.from))
	}
	if c.config.Lease != nil {
		lease := c.config.Lease()
		request.Header.Set(leaseHeader, lease.header())
	}
	response, err := c.http.Load().Do(request)
	if err != nil {
		return nil, explained(err)
	}
	partial := response.StatusCode == http.StatusPartialContent && q.from > 0
	if response.StatusCode != http.StatusOK && !partial {
		defer response.Body.Close()
		problem := problemOf(response)
		if errors.Is(problem, ErrRevoked) { // there may be a newer certificate to show by now
			c.Reconnect()
		}
		return nil, problem
	}
	c.hearConfiguration(response.Header.Get(configurationHeader))
	answer := &countingBody{response.Body, &c.counted.bytes}
	if q.from > 0 && !partial { // it was sent from its beginning
		if _, err := io.CopyN(io.Discard, answer, q.from); err != nil {
			return nil, errors.Join(cutOff(err), answer.Close())
		}
	}
	return answer, nil
}

type countingBody struct {
	io.ReadCloser
	bytes *atomic.Uint64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes.Add(uint64(n))
	return n, err
}

// Problem is an answer that is none. It wraps what the writer says is wrong, if that is known here.
type Problem struct {
	Status int
	Text   string
	Err    error
}

// Error is what the writer said.
func (p *Problem) Error() string { return strconv.Itoa(p.Status) + " " + p.Text }

// Unwrap is the error it stands for.
func (p *Problem) Unwrap() error { return p.Err }

func problemOf(r *http.Response) *Problem {
	text, _ := io.ReadAll(io.LimitReader(r.Body, maxProblem))
	return &Problem{Status: r.StatusCode, Text: strings.TrimSpace(string(text)), Err: problems()[r.Header.Get(problemHeader)]}
}
