package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"cardinal/certs/nodes"
	certificates "cardinal/certs/register"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
	"cardinal/issuance"
)

// rooms are those that keep tables in the ledger, in the order they are made.
func rooms() []ledger.Room {
	return []ledger.Room{certificates.Room(), register.Room(), issuance.Room(), nodes.Room()}
}

// ledgerOptions say which ledger an installation has.
func (a *app) ledgerOptions(f folder, c Config) ledger.Options {
	return ledger.Options{URL: f.ledgerURL(c), Rooms: rooms(), Logger: a.logger(slog.LevelWarn), Now: a.clock(c), MaxSkew: c.Limits.ClockSkew}
}

// clock is the one an installation goes by: this host's, or that put forward
// by demo.clock.
func (a *app) clock(c Config) func() time.Time {
	return func() time.Time { return a.now().Add(c.Demo.Clock) }
}

// openLedger opens an installation's ledger for a command that opens the
// folder itself.
func (a *app) openLedger(ctx context.Context, f folder, c Config) (*ledger.Ledger, error) {
	l, err := ledger.Open(ctx, a.ledgerOptions(f, c))
	if err != nil {
		return nil, usageIfSchema("opening the ledger", err)
	}
	return l, nil
}

// logger writes to standard error, from level up.
func (a *app) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// closeInto closes c at the end of a function and keeps its error when there
// is no other.
func closeInto(err *error, c io.Closer) {
	if e := c.Close(); e != nil && *err == nil {
		*err = e
	}
}
