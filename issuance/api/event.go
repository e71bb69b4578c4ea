package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Kinds of event.
const (
	EventRevoked   = "revoked"
	EventSuspended = "suspended"
	EventReleased  = "released"
	EventOrder     = "order"
	EventServed    = "served"
)

// Event is one message of the stream of events: certificates of one issuer that
// got one status in one transaction, the step of an order, or a node that
// answers by an earlier event.
type Event struct {
	Kind     string    `json:"kind"`
	Position uint64    `json:"position"`
	At       time.Time `json:"at"` // of the commit; of served, when the node was known to have it, zero when that was before the server looked

	Issuer  string     `json:"issuer,omitempty"`
	Serials []string   `json:"serials,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Since   *time.Time `json:"since,omitempty"`

	Order   string `json:"order,omitempty"`
	Verb    string `json:"verb,omitempty"`
	State   string `json:"state,omitempty"`
	Content string `json:"content,omitempty"`
	Cards   uint64 `json:"cards,omitempty"`
	Done    uint64 `json:"done,omitempty"`

	Node       string  `json:"node,omitempty"`
	TookMillis float64 `json:"took_ms,omitempty"`
}

// Served answers how far each node is with a position.
type Served struct {
	Position  uint64       `json:"position"`
	Committed time.Time    `json:"committed"`
	Now       time.Time    `json:"now"`
	Nodes     []ServedNode `json:"nodes"`
}

// ServedNode is one node. Took is from the commit to when the node was known to
// answer by it, absent when that is not known.
type ServedNode struct {
	Name             string     `json:"name"`
	Live             bool       `json:"live"` // heard of a moment ago
	Served           bool       `json:"served"`
	Disabled         *time.Time `json:"disabled,omitempty"` // when it was; one that is out of reach has not heard of it
	TookMillis       *float64   `json:"took_ms,omitempty"`
	Position         uint64     `json:"position"`
	AsOf             *time.Time `json:"as_of,omitempty"`
	Seen             *time.Time `json:"seen,omitempty"`
	RefusesStatus    *time.Time `json:"refuses_status,omitempty"`    // when its OCSP says tryLater by itself
	RefusesDirectory *time.Time `json:"refuses_directory,omitempty"` // when its LDAP says unavailable by itself
}

// maxEvent bounds one line of the stream: the serials of one change.
const maxEvent = 4 << 20

// FromNow has Events begin with what comes.
const FromNow = ^uint64(0)

// Events follows the stream of events after a position (WHATWG HTML §9.2, server-sent
// events) and calls take for each, until take fails, ctx ends or the server
// does, which is *Unreachable. To go on, ask again from the last Position of an
// event that was not served.
func (c *Client) Events(ctx context.Context, from uint64, take func(Event) error) error {
	query := filled()
	if from != FromNow {
		query = filled("from", strconv.FormatUint(from, 10))
	}
	req, err := c.request(ctx, call{route: "Events", query: query})
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream, application/problem+json")
	resp, err := c.patient.Do(req)
	if err != nil {
		return unanswered(c.base.String(), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return unanswered(c.base.String(), err)
		}
		return problemOf(resp, answer)
	}
	return c.follow(resp.Body, take)
}

var errStreamEnded = errors.New("the stream of events ended")

func (c *Client) follow(body io.Reader, take func(Event) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		data, found := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !found {
			if text, isError := strings.CutPrefix(lines.Text(), ": refused "); isError {
				return &Problem{Type: "urn:cardinal:rule:" + text, Status: 403, Title: "refused to this operator", Rule: text}
			}
			continue
		}
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return &Unreachable{URL: c.base.String(), Err: fmt.Errorf("reading an event: %w", err)}
		}
		if err := take(e); err != nil {
			return err
		}
	}
	err := lines.Err()
	if err == nil {
		err = errStreamEnded
	}
	return &Unreachable{URL: c.base.String(), Err: err}
}
