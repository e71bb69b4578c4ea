package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"cardinal/directory/ldap"
	"cardinal/internal/ledger"
)

var errRole = errors.New("is none of all, write, read")

func serveCommand(a *app) *cobra.Command {
	var dir, role, passphrase string
	var debug bool
	c := &cobra.Command{Use: "serve", Short: "Serve an installation until told to end", Args: cobra.NoArgs,
		Long: `Serves the directory (LDAP, LDAPS), the status of certificates (OCSP, revocation lists), issuance
(HTTPS) and operations (health, metrics). When it can be asked it prints its real addresses as one
line of JSON on standard output; logs go to standard error. SIGTERM drains and ends it.

Roles: all; write issues and publishes, and is asked nothing; read answers from its replica, holds
no CA key, and has its responder keys certified by the write role of the same folder.`,
		Example: "  cardinal serve --dir cards --passphrase-file pass",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"all", "write", "read"}, role) {
				return usage("--role "+role, errRole)
			}
			f, config, err := a.open(dir)
			if err != nil {
				return err
			}
			level := slog.LevelInfo
			if debug {
				level = slog.LevelDebug
			}
			n := &node{a: a, folder: f, config: config, role: role, logger: a.logger(level), registry: prometheus.NewRegistry()}
			n.now = func() time.Time { return a.now().Add(config.Demo.Clock) }
			if role != "read" {
				if n.passphrase, err = a.passphrase(passphrase, false); err != nil {
					return err
				}
			}
			return failing("serve", n.serve(cmd.Context()))
		}}
	dirFlag(c, &dir)
	passphraseFlag(c, &passphrase)
	c.Flags().StringVar(&role, "role", "all", "all, write or read")
	c.Flags().BoolVar(&debug, "debug", false, "log more")
	return c
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
	registry   *prometheus.Registry

	directory   *directoryOf
	ledger      *ledger.Ledger
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
	options := n.a.ledgerOptions(n.folder, n.config)
	options.ReadOnly, options.Logger, options.Now = n.role == "read", n.logger, n.now
	if n.ledger, err = ledger.Open(ctx, options); err != nil {
		return usageIfSchema("opening the ledger", err)
	}
	defer closeInto(&err, n.ledger)
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
	if err := n.openCertificate(); err != nil {
		return err
	}
	if n.read != nil {
		if err := n.serveReads(); err != nil {
			return err
		}
	}
	if n.write != nil {
		if err := errors.Join(n.serveWrites(), n.serveFeed()); err != nil {
			return err
		}
	}
	if err := n.serveOperations(); err != nil {
		return err
	}
	return n.run(ctx)
}
