package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"cardinal/directory/ldap"
	"cardinal/internal/background"
	"cardinal/internal/ledger"
)

var errRole = errors.New("is none of all, write, read")

func serveCommand(a *app) *cobra.Command {
	x := &followFlags{}
	c := &cobra.Command{Use: "serve", Short: "Serve an installation until told to end", Args: cobra.NoArgs,
		Long: `Serves the directory (LDAP, LDAPS), the status of certificates (OCSP, revocation lists), issuance
(HTTPS) and operations (health, metrics). When it can be asked it prints its real addresses as one
line of JSON on standard output; logs go to standard error. SIGTERM drains and ends it.

Roles: all; write issues and publishes, and is asked nothing; read answers from its replica, holds
no CA key, and has its responder keys certified by the write role of the same folder.

With --follow a read node on another machine follows a writer over the network, with the certificate
that cardinal node add made; its folder holds neither ledger nor CA key and is made if it is not there.
It remembers whom it follows: the next time --dir and --role read are enough.`,
		Example: `  cardinal serve --dir cards --passphrase-file pass
  cardinal serve --role read --dir edge-1 --follow https://writer.example.org:8444 --cert node.cer --key node.key`,
		RunE: func(cmd *cobra.Command, _ []string) error { return failing("serve", a.serve(cmd.Context(), x)) }}
	dirFlag(c, &x.dir)
	passphraseFlag(c, &x.passphrase)
	x.add(c)
	c.Flags().StringVar(&x.role, "role", "all", "all, write or read")
	c.Flags().BoolVar(&x.debug, "debug", false, "log more")
	return c
}

// serve opens what is to be served and serves it.
func (a *app) serve(ctx context.Context, x *followFlags) error {
	if !slices.Contains([]string{"all", "write", "read"}, x.role) {
		return usage("--role "+x.role, errRole)
	}
	f, config, follower, err := a.openServed(ctx, x)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if x.debug {
		level = slog.LevelDebug
	}
	n := &node{a: a, folder: f, config: config, role: x.role, follower: follower, logger: a.logger(level), registry: prometheus.NewRegistry(), beside: background.New()}
	n.now = a.clock(config)
	if x.role != "read" {
		if n.passphrase, err = a.passphrase(x.passphrase, false); err != nil {
			return err
		}
	}
	return n.serve(ctx)
}

// node is one serving process: a ledger, the side that writes it, and the side
// that answers from a copy of it. Either side may be absent.
type node struct {
	a          *app
	folder     folder
	config     Config
	role       string
	passphrase []byte
	logger     *slog.Logger
	now        func() time.Time
	beside     *background.Work // what is done for long beside requests
	registry   *prometheus.Registry

	status      atomic.Pointer[StatusConfig] // what answers of OCSP say; a read node follows its writer in it
	directory   *directoryOf
	ledger      *ledger.Ledger // nil when this node follows a writer elsewhere
	follower    *follower      // nil when it does not
	certificate *serverCertificate
	read        *readSide
	answering   *ldap.Server // once it serves the directory
	write       *writeSide
	feed        *feedSide   // nil: nobody follows from elsewhere
	servers     []listening // what listens
	tasks       []task      // what works behind them
	addresses   ready
}

// serve puts the node together from the ground up, runs it until ctx ends, and
// takes it apart from the top down.
func (n *node) serve(ctx context.Context) (err error) {
	tuneCollector()
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if n.directory, err = loadDirectory(n.folder, n.config); err != nil {
		return err
	}
	if n.follower == nil {
		if err := n.openLedger(ctx); err != nil {
			return err
		}
		defer closeInto(&err, n.ledger)
	}
	if n.role != "write" {
		if n.read, err = n.openReadSide(ctx); err != nil {
			return err
		}
		defer closeInto(&err, n.read)
	}
	if n.role != "read" {
		if n.write, err = n.openWriteSide(ctx); err != nil {
			return err
		}
	}
	if err := n.openCertificate(ctx); err != nil {
		return err
	}
	if n.read != nil {
		if err := n.serveReads(); err != nil {
			return err
		}
	}
	if n.write != nil {
		if err := errors.Join(n.serveWrites(), n.serveFeed(ctx)); err != nil {
			return err
		}
	}
	if err := n.serveOperations(ctx); err != nil {
		return err
	}
	n.task("hangups", n.reloadOnHangup)
	return n.run(ctx)
}

func (n *node) openLedger(ctx context.Context) (err error) {
	options := n.a.ledgerOptions(n.folder, n.config)
	options.ReadOnly, options.Logger, options.Beside = n.role == "read", n.logger, n.beside
	if n.ledger, err = ledger.Open(ctx, options); err != nil {
		return usageIfSchema("opening the ledger", err)
	}
	return nil
}
