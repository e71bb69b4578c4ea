package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"cardinal/ca"
	certificates "cardinal/certs/register"
	"cardinal/issuance/server"
)

// openWriteSide opens the keys, settles what an earlier process left open, and
// puts the desk together.
func (n *node) openWriteSide(ctx context.Context) (*writeSide, error) {
	set, err := loadPolicies(n.folder, n.config)
	if err != nil {
		return nil, err
	}
	of := writeSideOf{folder: n.folder, config: n.config, ledger: n.ledger, policies: set, keys: signersOf(n.folder, n.config, n.passphrase), directory: n.directory, now: n.now, beside: n.beside, logger: n.logger}
	if n.read != nil {
		of.paced = n.read.replica.WaitFor
	}
	w, err := n.a.writeSide(of)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(ca.CleanSpool(n.folder.spool()), w.openKeys(ctx)); err != nil {
		return nil, err
	}
	if err := w.authority.Recover(ctx); err != nil {
		return nil, err
	}
	n.task("orders", w.desk.RunOrders)
	n.task("heartbeat", func(ctx context.Context) error { n.ledger.Beat(ctx); return nil })
	n.task("sweeper", n.sweep)
	n.task("references", n.fillReferences)
	n.task("publisher", (&ca.Publisher{Authority: w.authority}).Run)
	return w, nil
}

// Chunks of a load that was never finished are swept once an hour when they are a day old, which no
// load takes.
const (
	sweepEvery = time.Hour
	sweepAge   = 24 * time.Hour
)

// sweep removes what unfinished loads left behind, until ctx ends.
func (n *node) sweep(ctx context.Context) error {
	for {
		swept, err := n.ledger.Sweep(ctx, sweepAge)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			n.logger.Error("sweeping unfinished contents", "error", err)
		case swept > 0:
			n.logger.Info("swept unfinished contents", "chunks", swept)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sweepEvery):
		}
	}
}

// openCertificate reads the server's certificate and keeps it new.
func (n *node) openCertificate(ctx context.Context) error {
	mine, err := n.ownCertificate(ctx)
	if err != nil {
		return err
	}
	n.certificate = &serverCertificate{clients: n.clientAuthorities(ca.Authentication, ca.Services), stands: n.stands, now: n.now, logger: n.logger}
	n.certificate.current.Store(mine)
	renew := func(context.Context) (*tls.Certificate, error) { return readServerCertificate(n.folder) }
	switch {
	case n.write != nil:
		renew = n.write.newServerCertificate
	case n.follower != nil:
		renew = n.follower.serverCertificate
	}
	n.task("server certificate", func(ctx context.Context) error { return n.certificate.keep(ctx, renew) })
	return nil
}

// ownCertificate is the server's certificate as it lies in the folder. Where none does, or none that can be read, a read
// node elsewhere asks for one and a writer makes one, as it does when it has got further names.
func (n *node) ownCertificate(ctx context.Context) (*tls.Certificate, error) {
	mine, err := readServerCertificate(n.folder)
	switch {
	case err != nil && n.follower != nil:
		if mine, err = n.follower.serverCertificate(ctx); err != nil {
			return nil, followProblem(err)
		}
		return mine, nil
	case err != nil && n.write != nil:
		n.logger.Error("making another certificate for the server", "since", err)
		return n.write.newServerCertificate(ctx)
	case err != nil || n.write == nil || coversNames(mine.Leaf, n.config):
		return mine, err
	}
	covering, err := n.write.newServerCertificate(ctx)
	if errors.Is(err, certificates.ErrNotIssuing) { // the old one serves all names but the new ones
		n.logger.Error("the server's certificate lacks names", "error", err)
		return mine, nil
	}
	return covering, err
}

// coversNames reports whether a certificate is good for all names this server goes by.
func coversNames(c *x509.Certificate, config Config) bool {
	names, ips := serverNames(config)
	for _, name := range names {
		if !slices.Contains(c.DNSNames, name) {
			return false
		}
	}
	return !slices.ContainsFunc(ips, func(ip net.IP) bool { return !slices.ContainsFunc(c.IPAddresses, ip.Equal) })
}

// serveWrites listens for stations, and for the read role when that is another
// process.
func (n *node) serveWrites() error {
	nodes := &nodesOf{n: n}
	watch := server.NewWatch(nodes, n.now)
	config := server.Config{Issuance: n.write.desk, Watch: watch, Logger: n.logger}
	if n.read != nil {
		config.Waiter = n.read.replica
	} else if err := n.serveEnrolment(); err != nil {
		return err
	}
	handler, err := server.New(config)
	if err != nil {
		return err
	}
	l, err := listen("issuance", n.config.Listen.Issuance)
	if err != nil {
		return err
	}
	secure := server.TLSConfig(tls.Certificate{}, n.clientAuthorities(ca.Authentication, ca.Services))
	secure.Certificates, secure.GetCertificate = nil, n.certificate.get
	n.addresses.Issuance = "https://" + l.Addr().String()
	s := &http.Server{Handler: n.countIssuance(handler), TLSConfig: secure}
	s.RegisterOnShutdown(watch.End)
	n.serveHTTPS("issuance", l, s)
	n.task("nodes", nodes.listen)
	n.task("watch", watch.Run)
	return nil
}
