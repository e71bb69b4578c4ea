package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/background"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// Replica tells how old the local copy is and when it shows an update;
// *replica.Replica is one.
type Replica interface {
	State() replica.State
	WaitFor(ctx context.Context, p journal.Position) error
}

// Writer makes updates durable and returns the position at which they stand in
// the journal. Refusals are *directory.Error. It judges managed subtrees; what
// access rules forbid has been refused before.
type Writer interface {
	// Apply makes all updates, in order, each seeing those before it, or none;
	// an *UpdateError says which one was refused.
	Apply(ctx context.Context, updates []Update) (journal.Position, error)
}

// Update is one update and in whose name it is made.
type Update struct {
	Who Identity
	directory.Update
}

// UpdateError says which of several updates was refused.
type UpdateError struct {
	Nth int // from 0
	Err error
}

// Error returns the reason.
func (e *UpdateError) Error() string { return e.Err.Error() }

// Unwrap returns the reason, mostly a *directory.Error.
func (e *UpdateError) Unwrap() error { return e.Err }

// CardStatus says what is known of a certificate, by its DER: whether one of
// our issuers made it, and if so whether it is good now; and what became of it,
// which good must not contradict.
type CardStatus interface {
	Known(der []byte) (known, good bool)
	tree.Cards
}

// Config is what a Server is made of. Tree and Replica are required.
type Config struct {
	Tree    *tree.Tree
	Replica Replica
	// Rules decide who sees and changes what; nil means directory.DefaultRules.
	Rules *directory.Rules
	// Writer takes updates; nil on a node that only reads: updates are
	// answered with a referral to Referrals, or unwillingToPerform.
	Writer    Writer
	Referrals []string // LDAP URIs
	// Original tells how far the entries of record are, for requests that must
	// not be answered from a copy; nil on a node that only reads: they are
	// answered as updates are there.
	Original Original
	// Lists are shown below ListsDN; nil: none are.
	Lists Lists
	// CardStatus hides certificates that are not good and keeps their holders
	// from binding, and cardStatus is what it says; nil: no certificate is ours.
	CardStatus CardStatus
	// TLS serves LDAPS and StartTLS; nil: neither. Client certificates are
	// asked for and verified as it says (ClientAuth, ClientCAs).
	TLS *tls.Config
	// AllowPlaintextBind lets passwords travel without TLS.
	AllowPlaintextBind bool
	// BindByCertificate gives an anonymous bind over TLS, and a connection
	// that never binds, the identity of the client certificate. It deviates
	// from RFC 4513 §5.1.1 for clients that present a certificate and then
	// bind anonymously.
	BindByCertificate bool
	// ChangeLog shows the changes as entries below cn=Changelog of each suffix.
	ChangeLog bool
	// Certificates map client certificates to entries; nil means DefaultMappings.
	Certificates []Mapping
	// Users map the user names of SASL mechanisms to entries.
	Users []UserMapping
	// Scram offers SCRAM-SHA-256; nil: not.
	Scram *Scram
	// Passwords are the policies for passwords; nil means DefaultPolicies.
	Passwords []PasswordPolicy
	Suffixes  []Suffix
	Limits    Limits
	// Beside is the long work of this process, for which no answer waits; nil:
	// none is known of.
	Beside *background.Work
	// Allowances are what searches may cost instead, for some identities; the
	// first whose Who fits decides.
	Allowances []Allowance
	Logger     *slog.Logger
	Now        func() time.Time
	Registerer prometheus.Registerer // nil: no metrics
}

// Suffix is the top of one tree this server answers for.
type Suffix struct {
	DN directory.DN
	// RootDN may do anything in the suffix that access rules could allow; it
	// needs no entry. RootPassword verifies it: any form userPassword may
	// have. Without a password nobody can bind as RootDN.
	RootDN       directory.DN
	RootPassword []byte
}

// Server answers on any number of listeners. Its methods may be used by
// several goroutines.
type Server struct {
	config   Config
	schema   *directory.Schema
	suffixes []suffix
	root     rootDSE
	hashing  chan struct{}
	sorts    chan struct{}
	lists    chan struct{} // places for revocation lists in memory
	turns    *turns
	hides    tree.Hide
	terms    atomic.Pointer[terms]
	verified verified
	feed     feed
	logs     []*changeLog
	nobody   []byte // a verifier no password fits
	policies []*policy
	guard    *guard
	waiting  atomic.Int64  // binds that are held back
	noting   chan struct{} // states of passwords being written
	shapes   shapes
	metrics  *metrics
	pagedKey [32]byte
	buffers  sync.Pool

	inFlight    atomic.Int64
	connections atomic.Int64
	secured     atomic.Int64 // connections over TLS
	began       time.Time
	tally       *tally

	noInactiveRole *directory.Filter
	costly         costly
	numbers        atomic.Uint64

	resting chan *conn    // to goroutines that have nothing to do
	rested  atomic.Int64  // how many those are
	ended   chan struct{} // closed when they are not needed any more

	mu        sync.Mutex
	listeners map[net.Listener]bool
	open      map[*conn]bool
	closing   bool
	done      sync.WaitGroup
}

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("the LDAP server is closed")

// New makes a Server that serves nothing yet. Errors name the part of the
// configuration that is wrong.
func New(c Config) (*Server, error) {
	if c.Tree == nil || c.Replica == nil {
		return nil, errors.New("configuring LDAP: a tree and a replica are needed")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Limits = c.Limits.withDefaults(background.Processors())
	s := &Server{config: c, schema: c.Tree.Schema(), guard: newGuard(), resting: make(chan *conn), ended: make(chan struct{}), noting: make(chan struct{}, maxNoting),
		hashing: make(chan struct{}, c.Limits.Hashing), sorts: make(chan struct{}, c.Limits.Sorts), lists: make(chan struct{}, listsAtOnce), listeners: map[net.Listener]bool{}, open: map[*conn]bool{}}
	t, err := s.newTerms(c.Rules, c.Allowances)
	if err != nil {
		return nil, fmt.Errorf("configuring LDAP: %w", err)
	}
	s.terms.Store(t)
	if s.suffixes, err = s.resolveSuffixes(c.Suffixes); err != nil {
		return nil, fmt.Errorf("configuring LDAP: %w", err)
	}
	if s.config.Certificates == nil {
		s.config.Certificates = DefaultMappings(c.Suffixes)
	}
	if err = errors.Join(s.checkMappings(), s.checkUsers(), s.checkScram(), s.resolvePolicies()); err != nil {
		return nil, fmt.Errorf("configuring LDAP: %w", err)
	}
	s.tally, s.began, s.noInactiveRole = newTally(), c.Now(), noInactiveRole()
	s.turns = newTurns(c.Limits.Turns, s.tally.short)
	if err = s.computeSignIn(); err != nil {
		return nil, fmt.Errorf("configuring LDAP: %w", err)
	}
	if c.CardStatus != nil {
		s.hides = goodCards{c.CardStatus}
	}
	if err = s.prepareLogs(); err != nil {
		return nil, fmt.Errorf("configuring LDAP: %w", err)
	}
	s.prepareSecrets()
	s.root = s.newRootDSE()
	if s.metrics, err = newMetrics(c.Registerer, s); err != nil {
		return nil, fmt.Errorf("registering LDAP metrics: %w", err)
	}
	return s, nil
}

// Serve answers LDAP on l, with StartTLS if there is a TLS configuration,
// until Shutdown; then it returns ErrServerClosed. It closes l.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, false) }

// ServeTLS answers LDAPS on l, as Serve does.
func (s *Server) ServeTLS(l net.Listener) error {
	if s.config.TLS == nil {
		return errors.New("serving LDAPS: there is no TLS configuration")
	}
	return s.serve(l, true)
}

func (s *Server) serve(l net.Listener, secure bool) error {
	if !s.track(l) {
		return errors.Join(ErrServerClosed, l.Close())
	}
	defer s.untrack(l)
	turn, floods := s.turns.of(s.numbers.Add(1), laneComing), streak{}
	for {
		floods.asked = time.Now()
		nc, err := l.Accept()
		if err == nil {
			s.accept(nc, secure)
			_ = floods.keep(context.Background(), &turn, time.Now())
			continue
		}
		if s.isClosing() {
			return ErrServerClosed
		}
		var temporary interface{ Timeout() bool }
		if !isExhausted(err) && !(errors.As(err, &temporary) && temporary.Timeout()) {
			return fmt.Errorf("accepting LDAP connections: %w", err)
		}
		s.config.Logger.Warn("accepting LDAP connections", "error", err)
		time.Sleep(50 * time.Millisecond) // out of file descriptors: some will come free
	}
}

func (s *Server) accept(nc net.Conn, secure bool) {
	if s.connections.Add(1) > int64(s.config.Limits.MaxConnections) {
		s.connections.Add(-1)
		s.metrics.refused.Inc()
		_ = nc.Close()
		return
	}
	c := newConn(s, nc, secure)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		s.connections.Add(-1)
		_ = nc.Close()
		return
	}
	s.open[c] = true
	s.done.Add(1)
	s.mu.Unlock()
	select {
	case s.resting <- c:
	default:
		go s.attend(c)
	}
}

// attend serves a connection, and then others: a goroutine that has served one
// has a stack that is large enough, which otherwise is made by copying it
// again and again.
func (s *Server) attend(c *conn) {
	for c != nil {
		s.serveOne(c)
		c = s.rest()
	}
}

func (s *Server) serveOne(c *conn) {
	defer s.done.Done()
	defer s.forget(c)
	c.serve()
}

// rest waits for another connection; nil if there are enough that wait.
func (s *Server) rest() (c *conn) {
	defer s.rested.Add(-1)
	if s.rested.Add(1) > restingGoroutines {
		return nil
	}
	select {
	case c = <-s.resting:
	case <-s.ended:
	}
	return c
}

func (s *Server) forget(c *conn) {
	s.connections.Add(-1)
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.listeners[l] = true
	}
	return !s.closing
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	_ = l.Close()
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// Shutdown closes the listeners, tells each client by a notice of
// disconnection (RFC 4511 §4.4.1), lets requests in flight end, and returns
// when all connections are closed or ctx ends; then it cuts what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		close(s.ended)
	}
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.open {
		go c.drain()
	}
	s.mu.Unlock()
	finished := make(chan struct{})
	go func() { s.done.Wait(); close(finished) }()
	select {
	case <-finished:
		s.feed.wait()
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.open {
		c.cut()
	}
	s.mu.Unlock()
	return ctx.Err()
}
