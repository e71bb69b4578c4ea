package server

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/issuance"
	"cardinal/issuance/api"
)

const (
	// servedWait is the longest a question about the nodes waits.
	servedWait = 30 * time.Second
	// writeWait is how long a client that follows the events may take for a message.
	writeWait = 30 * time.Second
	// quiet is how long a stream says nothing before it says that it lives.
	quiet = 10 * time.Second
	// openEvents is how many events a stream remembers to tell who served them, and
	// servedFor how long: a node that comes later is found by asking.
	openEvents = 4096
	servedFor  = 10 * time.Minute
)

// served tells how far the nodes are, once those that follow have the position
// or the wait is over.
func (s *server) served(x *exchange) (answer, error) {
	if err := x.known("position", "wait"); err != nil {
		return answer{}, err
	}
	p, err := x.position("position", true)
	if err != nil {
		return answer{}, err
	}
	wait, err := x.seconds("wait", servedWait)
	if err != nil {
		return answer{}, err
	}
	committed, err := s.desk.CommittedAt(x.Context(), x.operator, p)
	if err != nil {
		return answer{}, err
	}
	if err := s.watch.gather(x.Context()); err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(x.Context(), wait)
	defer cancel()
	return done(s.askNodes(ctx, p, committed))
}

func (s *server) askNodes(ctx context.Context, p journal.Position, committed time.Time) api.Served {
	for {
		all, moved := s.watch.standings(p)
		out := api.Served{Position: uint64(p), Committed: committed, Now: s.watch.now().UTC(), Nodes: each(all, servedOut(committed))}
		waiting := false
		for _, one := range all {
			waiting = waiting || one.Live && !one.has
		}
		if !waiting {
			return out
		}
		select {
		case <-ctx.Done():
			return out
		case <-s.watch.over:
			return out
		case <-moved:
		}
	}
}

func servedOut(committed time.Time) func(standing) api.ServedNode {
	return func(n standing) api.ServedNode {
		out := api.ServedNode{Name: n.Name, Live: n.Live, Served: n.has, Disabled: present(n.Disabled), Position: uint64(n.Position), AsOf: present(n.AsOf),
			Seen: present(n.Seen), RefusesStatus: present(n.RefusesStatus), RefusesDirectory: present(n.RefusesDirectory)}
		if n.has && !n.at.IsZero() && !committed.IsZero() {
			took := millis(n.at.Sub(committed))
			out.TookMillis = &took
		}
		return out
	}
}

func millis(d time.Duration) float64 { return max(0, d.Seconds()*1000) }

func (x *exchange) position(name string, must bool) (journal.Position, error) {
	text := x.query.Get(name)
	if text == "" && !must {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, &wrong{http.StatusBadRequest, "request.query", name, "is no position"}
	}
	return journal.Position(n), nil
}

func (x *exchange) seconds(name string, most time.Duration) (time.Duration, error) {
	text := x.query.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || time.Duration(n)*time.Second > most {
		return 0, &wrong{http.StatusBadRequest, "request.query", name, fmt.Sprintf("is not between 0 and %d seconds", most/time.Second)}
	}
	return time.Duration(n) * time.Second, nil
}

// events opens a stream (WHATWG HTML §9.2, server-sent events). The first look
// is before the answer begins, so that a refusal is a problem document.
func (s *server) events(x *exchange) (answer, error) {
	if err := x.known("from"); err != nil {
		return answer{}, err
	}
	if last := x.Header.Get("Last-Event-ID"); last != "" && x.query.Get("from") == "" {
		x.query.Set("from", last)
	}
	from, err := x.position("from", false)
	if err != nil {
		return answer{}, err
	}
	if x.query.Get("from") == "" {
		head, err := s.desk.Head(x.Context())
		if err != nil {
			return answer{}, err
		}
		from = head.Position
	}
	first, next, err := s.desk.Events(x.Context(), x.operator, from)
	if err != nil {
		return answer{}, err
	}
	select {
	case s.streams <- struct{}{}:
	default:
		return answer{}, &wrong{http.StatusServiceUnavailable, "events.too-many", "", fmt.Sprintf("%d follow the events already", mostStreams)}
	}
	return answer{status: http.StatusOK, stream: func(w http.ResponseWriter) {
		defer func() { <-s.streams }()
		f := &following{s: s, x: x, w: w, out: http.NewResponseController(w), at: next, told: map[told]bool{}}
		f.run(first)
	}}, nil
}

// following is one stream.
type following struct {
	s    *server
	x    *exchange
	w    http.ResponseWriter
	out  *http.ResponseController
	at   journal.Position // looked through so far
	open []sent           // events whose nodes are still to be told of
	told map[told]bool
	said time.Time // when anything was said last
}

type sent struct {
	position journal.Position
	at       time.Time // of the commit
}

type told struct {
	position journal.Position
	node     string
}

func (f *following) run(first []issuance.Event) {
	header(f.w, "text/event-stream")
	_ = f.out.SetReadDeadline(time.Time{}) // it reads nothing more; not every connection has one to set
	f.w.WriteHeader(http.StatusOK)
	err := f.comment("events after " + strconv.FormatUint(uint64(f.at), 10))
	for events := first; err == nil; {
		if err = f.tell(events); err != nil {
			return
		}
		if events, err = f.next(); err != nil {
			if p := problemOf(err); p.Status < http.StatusInternalServerError {
				_ = f.comment("refused " + p.Rule)
			}
		}
	}
}

// next waits for the journal or a node to move, and looks again, as the
// operator, who may have lost the right meanwhile.
func (f *following) next() ([]issuance.Event, error) {
	ctx, cancel := context.WithTimeout(f.x.Context(), quiet)
	defer cancel()
	_, moved := f.s.watch.standings(0)
	news := make(chan error, 1)
	go func() { news <- f.s.desk.AwaitEvents(ctx, f.at) }()
	select {
	case <-news:
	case <-moved:
		cancel()
		<-news
	case <-f.s.watch.over:
		cancel()
		<-news
		return nil, errOver
	}
	if f.x.Context().Err() != nil {
		return nil, f.x.Context().Err()
	}
	events, next, err := f.s.desk.Events(f.x.Context(), f.x.operator, f.at)
	f.at = next
	return events, err
}

var errOver = &wrong{http.StatusServiceUnavailable, "events.over", "", "the server ends"}

func (f *following) tell(events []issuance.Event) error {
	for i := range events {
		e := &events[i]
		if err := f.say(eventOut(e)); err != nil {
			return err
		}
		if e.Order == nil {
			f.open = append(f.open, sent{e.Position, e.At})
		}
	}
	if err := f.tellServed(); err != nil {
		return err
	}
	if time.Since(f.said) >= quiet {
		return f.comment("at " + strconv.FormatUint(uint64(f.at), 10))
	}
	return nil
}

// tellServed tells which nodes have come to which open events.
func (f *following) tellServed() error {
	still := f.open[:0]
	for _, e := range f.open {
		all, _ := f.s.watch.standings(e.position)
		waits, err := f.tellOne(e, all)
		if err != nil {
			return err
		}
		if waits && f.s.watch.now().Sub(e.at) < servedFor {
			still = append(still, e)
			continue
		}
		for _, n := range all {
			delete(f.told, told{e.position, n.Name})
		}
	}
	f.open = still[max(0, len(still)-openEvents):]
	return nil
}

// tellOne tells which nodes have come to an event, once each, and whether some
// have not.
func (f *following) tellOne(e sent, all []standing) (waits bool, err error) {
	waits = len(all) == 0
	for _, n := range all {
		key := told{e.position, n.Name}
		if !n.has {
			waits = true
			continue
		}
		if f.told[key] {
			continue
		}
		f.told[key] = true
		if err := f.say(nodeServed(e, n)); err != nil {
			return waits, err
		}
	}
	return waits, nil
}

func nodeServed(e sent, n standing) api.Event {
	out := api.Event{Kind: api.EventServed, Position: uint64(e.position), Node: n.Name, At: n.at}
	if !n.at.IsZero() {
		out.TookMillis = millis(n.at.Sub(e.at))
	}
	return out
}

func eventOut(e *issuance.Event) api.Event {
	out := api.Event{Kind: api.EventOrder, Position: uint64(e.Position), At: e.At}
	if o := e.Order; o != nil {
		out.Order, out.Verb, out.State, out.Cards, out.Done = o.Order, o.Verb, o.State, o.Cards, o.Done
		out.Content = hex.EncodeToString(o.Content[:])
		return out
	}
	out.Kind, out.Issuer, out.Since = kindOf(e.Status), e.Issuer, present(e.Status.Invalidity)
	if e.Status.State != certs.StateGood {
		out.Reason = e.Status.Reason.String()
	}
	out.Serials = each(e.Serials, certs.Serial.Hex)
	return out
}

// say writes one message. Of a served one there is no id: what was seen last is
// the event it belongs to.
func (f *following) say(e api.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	text := "event: " + e.Kind + "\ndata: " + string(data) + "\n\n"
	if e.Kind != api.EventServed {
		text = "id: " + strconv.FormatUint(e.Position, 10) + "\n" + text
	}
	return f.write(text)
}

func (f *following) comment(text string) error { return f.write(": " + text + "\n\n") }

func (f *following) write(text string) error {
	f.said = time.Now()
	if err := f.out.SetWriteDeadline(f.said.Add(writeWait)); err != nil {
		return err
	}
	if _, err := f.w.Write([]byte(text)); err != nil {
		return err
	}
	return f.out.Flush()
}
