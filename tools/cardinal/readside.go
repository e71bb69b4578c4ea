package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	bolterrors "go.etcd.io/bbolt/errors"

	"cardinal/ca"
	"cardinal/certs"
	certificates "cardinal/certs/register"
	"cardinal/directory/ldap"
	"cardinal/directory/register"
	"cardinal/directory/tree"
	"cardinal/internal/replica"
	"cardinal/ocsp"
	"cardinal/policies"
)

// readSide answers from a copy of the ledger.
type readSide struct {
	replica   *replica.Replica
	table     *ocsp.Table
	tree      *tree.Tree
	responder *ocsp.Responder
	keys      *tokenKeys // nil when they are in memory
}

func (r *readSide) Close() error {
	err := r.replica.Close()
	if r.keys != nil {
		err = errors.Join(err, r.keys.Close())
	}
	return err
}

var errBehind = errors.New("the ledger is behind its own replica: this is an older ledger than was served before; put one back with cardinal restore, which begins a new epoch")

// openReadSide opens the replica and checks it against the ledger.
func (n *node) openReadSide(ctx context.Context) (*readSide, error) {
	if err := makeFolders(filepath.Dir(n.folder.replica())); err != nil {
		return nil, err
	}
	if n.follower != nil {
		if err := n.seed(ctx); err != nil {
			return nil, err
		}
	}
	options := replica.Options{Path: n.folder.replica(), Feed: n.source(), Logger: n.logger, Now: n.now, Beside: n.beside, SyncAfter: n.config.Replica.Sync.after()}
	if n.follower != nil {
		options.Doubt = n.follower.doubt
	}
	r, err := openCopy(ctx, n.directory, options)
	if err != nil {
		return nil, err
	}
	if n.ledger != nil {
		if err := n.notBehind(ctx, r.replica.State()); err != nil {
			return nil, errors.Join(err, r.replica.Close())
		}
	}
	r.responder = ocsp.New(n.responderConfig(r))
	n.registry.MustRegister(r.responder.Collectors()...)
	n.task("replica", n.followsWith(r.replica))
	n.task("responder keys", r.responder.Run)
	return r, nil
}

// responderConfig is how this node tells the status of certificates.
func (n *node) responderConfig(r *readSide) ocsp.Config {
	s := n.config.Status
	n.status.Store(&s)
	policy := func(issuer string) ocsp.Policy { return n.status.Load().policy(issuer) }
	c := ocsp.Config{Table: r.table, Replica: r.replica, Enroller: enroller{n}, Policy: policy, ByName: s.ByName,
		UnknownIssuer: unknownIssuers()[s.UnknownIssuer], Now: n.now, Logger: n.logger,
		Limits: ocsp.Limits{Stale: n.config.Limits.OCSPAge, SigningAtOnce: s.SigningAtOnce, SigningWait: s.SigningWait, Connections: s.Connections, Stored: s.Stored}}
	if s.ResponderKey != "" {
		r.keys = &tokenKeys{uri: s.ResponderKey, pin: n.passphrase, open: map[string]crypto.Signer{}}
		c.Key = r.keys.key
	}
	return c
}

// newCopy is what arranges a replica, in none yet.
func newCopy(of *directoryOf) (*readSide, error) {
	r := &readSide{table: ocsp.NewTable()}
	var err error
	if r.tree, err = of.newTree(); err != nil {
		return nil, fmt.Errorf("arranging the directory: %w", err)
	}
	return r, nil
}

func (r *readSide) appliers() []replica.Applier { return []replica.Applier{r.table, r.tree} }

// openCopy opens a replica of everything a node answers from, with nothing that answers yet.
func openCopy(ctx context.Context, of *directoryOf, o replica.Options) (*readSide, error) {
	r, err := newCopy(of)
	if err != nil {
		return nil, err
	}
	o.Appliers = r.appliers()
	if r.replica, err = replica.Open(ctx, o); errors.Is(err, bolterrors.ErrTimeout) {
		return nil, usage("opening the replica", fmt.Errorf("%w: another process serves from it", err))
	} else if err != nil {
		return nil, fmt.Errorf("opening the replica: %w", err)
	}
	return r, nil
}

// notBehind refuses a ledger whose replica has seen more than it holds.
func (n *node) notBehind(ctx context.Context, copied replica.State) error {
	head, err := n.ledger.Head(ctx)
	if err != nil {
		return fmt.Errorf("reading the ledger's head: %w", err)
	}
	if copied.Epoch > head.Epoch || copied.Epoch == head.Epoch && copied.Position > head.Position {
		return usage(fmt.Sprintf("ledger at epoch %d position %d, replica at epoch %d position %d", head.Epoch, head.Position, copied.Epoch, copied.Position), errBehind)
	}
	return nil
}

// enroller has responder keys certified by the CA of this process, or by the
// write role of the same folder.
type enroller struct{ n *node }

func (e enroller) Responder(ctx context.Context, issuer certs.IssuerID, csr []byte) ([]byte, error) {
	if e.n.follower != nil {
		return e.n.follower.responder(ctx, issuer, csr)
	}
	if e.n.write == nil {
		return e.n.askResponder(ctx, issuer, csr)
	}
	return e.n.write.responder(ctx, csr, ca.ResponderOrder{Issuer: issuer})
}

// responder certifies a responder key of an issuing CA. Nobody answers for the
// root: its key is not here, and its list says all there is to say.
func (w *writeSide) responder(ctx context.Context, csr []byte, o ca.ResponderOrder) (der []byte, err error) {
	if o.Key, err = policies.ProveCSR(csr); err != nil {
		return nil, err
	}
	der, err = w.authority.CertifyResponder(ctx, o)
	if errors.Is(err, certificates.ErrGenerationEnded) || errors.Is(err, ca.ErrNoKey) || errors.Is(err, ca.ErrUnknownIssuer) {
		return nil, ocsp.ErrNotServed
	}
	return der, err
}

// serveReads listens for questions.
func (n *node) serveReads() error {
	status, err := listen("status", n.config.Listen.Status)
	if err != nil {
		return err
	}
	n.addresses.Status = "http://" + status.Addr().String()
	rest, err := n.openStamps()
	if err != nil {
		return errors.Join(err, status.Close())
	}
	answering := n.read.responder.NewServer(n.bounded(&http.Server{Handler: rest}))
	n.servers = append(n.servers, listening{name: "status", serve: func() error { return answering.Serve(status) }, shutdown: answering.Shutdown, closed: http.ErrServerClosed})
	if err := n.serveReplica(); err != nil {
		return err
	}
	if n.readsBeside() {
		n.task("standing", n.tellStanding)
	}
	return n.serveDirectory()
}

// serveDirectory listens for LDAP and LDAPS. A node that does not write
// answers updates with what it is.
func (n *node) serveDirectory() error {
	limits := n.config.Limits
	config := ldap.Config{Tree: n.read.tree, Replica: n.read.replica, Rules: n.directory.rules, CardStatus: cardStatus{n.read.table, n.read.replica, limits.OCSPAge}, Suffixes: n.directory.roots,
		Lists: n.lists(), TLS: n.certificate.tlsConfig(tls.VerifyClientCertIfGiven), AllowPlaintextBind: n.config.Directory.AllowPlaintextBind, ChangeLog: n.config.Directory.ChangeLog,
		Limits: n.config.ldapLimits(), Beside: n.beside,
		Allowances: n.directory.limits, Logger: n.logger, Now: n.now, Registerer: n.registry}
	if n.write != nil {
		config.Writer = ldapWriter{register.Updates{Register: n.write.register, Ledger: n.ledger}}
		config.Original = original{n.ledger}
	}
	n.bindAs(&config)
	answering, err := ldap.New(config)
	if err != nil {
		return usage("configuring LDAP", err)
	}
	n.answering = answering
	plain, err := listen("ldap", n.config.Listen.LDAP)
	if err != nil {
		return err
	}
	secure, err := listen("ldaps", n.config.Listen.LDAPS)
	if err != nil {
		return errors.Join(err, plain.Close())
	}
	n.addresses.LDAP, n.addresses.LDAPS = "ldap://"+plain.Addr().String(), "ldaps://"+secure.Addr().String()
	add := func(name string, serve func() error) {
		n.servers = append(n.servers, directoryServer(name, serve, answering))
	}
	add("ldap", func() error { return answering.Serve(plain) })
	add("ldaps", func() error { return answering.ServeTLS(secure) })
	return nil
}

// bindAs says how clients show who they are. A node that does not write sends
// updates where the configuration says.
func (n *node) bindAs(config *ldap.Config) {
	b := n.directory.binding
	config.BindByCertificate = n.config.Directory.BindByCertificate
	config.Certificates, config.Users, config.Scram, config.Passwords = b.certificates, b.users, b.scram, b.passwords
	if config.Writer == nil {
		config.Referrals = n.config.Directory.Referrals
	}
}

func directoryServer(name string, serve func() error, of *ldap.Server) listening {
	return listening{name: name, serve: serve, shutdown: of.Shutdown, closed: ldap.ErrServerClosed}
}
