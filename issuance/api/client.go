package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What a Client accepts.
const (
	maxAnswer     = 32 << 20         // a page of 200 certificates is far below; guards a wrong address
	answerTimeout = 60 * time.Second // a whole exchange; issuing signs two certificates and waits for the replica
)

// Client asks one issuance server as one operator. It is safe for use by many
// goroutines and keeps connections open: a renewal may go on over a connection
// that the card's old key opened.
type Client struct {
	base *url.URL
	http *http.Client
	// patient is for what may take longer than answerTimeout: the caller's context bounds it.
	patient *http.Client
	routes  map[string]Route
}

// New makes a client for https://host:port. The TLS configuration brings the
// operator's certificate and the roots to trust; TLS 1.3 is demanded.
func New(base string, config *tls.Config) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("parsing the address of the issuance server: %w", err)
	}
	if u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("address of the issuance server %q: want https://host:port", base)
	}
	return NewOver(base, NewTransport(config))
}

// NewOver makes a client over a transport of the caller's.
func NewOver(base string, transport http.RoundTripper) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil {
		return nil, fmt.Errorf("parsing the address of the issuance server: %w", err)
	}
	c := &Client{base: u, http: &http.Client{Transport: transport, Timeout: answerTimeout, CheckRedirect: noRedirect},
		patient: &http.Client{Transport: transport, CheckRedirect: noRedirect}}
	c.routes = make(map[string]Route)
	for _, r := range Routes() {
		c.routes[r.Name] = r
	}
	return c, nil
}

// noRedirect: the API never redirects, and a client certificate must not be
// offered to where somebody points.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one exchange: path values in the order of the route's wildcards.
type call struct {
	route string
	path  []string
	query url.Values
	body  any
	// patient has no time limit of its own.
	patient bool
}

func ask[T any](ctx context.Context, c *Client, q call) (*T, error) {
	answer, err := c.exchange(ctx, q)
	if err != nil {
		return nil, err
	}
	out := new(T)
	if err := json.Unmarshal(answer, out); err != nil {
		return nil, &Unreachable{URL: c.base.String(), Err: fmt.Errorf("reading the answer to %s: %w", q.route, err)}
	}
	return out, nil
}

func (c *Client) exchange(ctx context.Context, q call) ([]byte, error) {
	req, err := c.request(ctx, q)
	if err != nil {
		return nil, err
	}
	client := c.http
	if q.patient {
		client = c.patient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unanswered(c.base.String(), err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, unanswered(c.base.String(), err)
	}
	if len(answer) > maxAnswer {
		return nil, &Unreachable{URL: c.base.String(), Err: fmt.Errorf("answer to %s over %d octets", q.route, maxAnswer)}
	}
	if resp.StatusCode/100 != 2 {
		return nil, problemOf(resp, answer)
	}
	return answer, nil
}

func (c *Client) request(ctx context.Context, q call) (*http.Request, error) {
	route := c.routes[q.route]
	path := route.Path
	for _, value := range q.path {
		open, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		if value == "" {
			return nil, fmt.Errorf("%s: empty %s", q.route, path[open+1:end])
		}
		path = path[:open] + url.PathEscape(value) + path[end+1:]
	}
	target := c.base.String() + path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	var body io.Reader
	if route.Body {
		data, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("writing the request for %s: %w", q.route, err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, route.Method, target, body)
	if err != nil {
		return nil, fmt.Errorf("making the request for %s: %w", q.route, err)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if route.Body {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// unanswered tells a server that refused the client's certificate in the
// handshake (RFC 8446 §6.2) from one that could not be reached.
func unanswered(base string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) && isOp(op, "remote error") {
		return &Problem{Type: "urn:cardinal:rule:operator.certificate", Status: http.StatusUnauthorized,
			Title: "client certificate refused", Detail: "the server ended the TLS handshake: " + op.Err.Error(),
			Rule: "operator.certificate", Clause: "RFC 8446 §6.2"}
	}
	return &Unreachable{URL: base, Err: err}
}

func problemOf(resp *http.Response, answer []byte) error {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	p := new(Problem)
	if err != nil || kind != "application/problem+json" || json.Unmarshal(answer, p) != nil {
		return &Unreachable{URL: resp.Request.URL.String(), Err: fmt.Errorf("status %s without a problem document", resp.Status)}
	}
	p.Status = resp.StatusCode
	return p
}

func page(values url.Values, after string, limit int) url.Values {
	if after != "" {
		values.Set("after", after)
	}
	if limit != 0 {
		values.Set("limit", strconv.Itoa(limit))
	}
	return values
}

func filled(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}
