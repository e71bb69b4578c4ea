// Command station is the registration authority's desk: where a card lies in
// the reader and its holder stands. It has the card make its keys, asks the
// issuance server for the pair as a named operator, writes both certificates,
// reads them back and signs with both keys before it calls a card good
// (NIST SP 800-73-4, FIPS 201-3 §2.7).
//
// Cards are simulated ones (--card FILE) or, built with the tag pcsc, real ones
// in a reader (--reader NAME). Results go to standard output, questions and
// progress to standard error. Exit codes: 0 done, 1 checked and found wrong,
// 2 usage, 3 refused by a rule, 4 unreachable.
package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// station is what every command is given: where to read and write, the clock,
// the environment, and what the common flags said.
type station struct {
	stdin io.Reader
	in    *bufio.Reader // lines of stdin when it is no terminal
	out   io.Writer
	err   io.Writer
	env   func(string) string
	now   func() time.Time
	wait  func(ctx context.Context, d time.Duration) error

	json    bool
	started bool // flags and arguments were accepted; errors before that are usage
	where   inserted
	who     operator
}

// streams are standard input, output and error.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run does what args say; exit turns its error into one line and a code.
func run(ctx context.Context, args []string, with streams) error {
	s := &station{stdin: with.in, in: bufio.NewReader(with.in), out: with.out, err: with.err, env: os.Getenv, now: time.Now, wait: sleep}
	return s.run(ctx, args)
}

func (s *station) run(ctx context.Context, args []string) error {
	root := s.command()
	root.SetArgs(args)
	root.SetIn(s.stdin)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err != nil && !s.started {
		return usage("usage", err)
	}
	return err
}

func (s *station) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "station",
		Short: "The registration authority's desk: cards, readers and the issuance server",
		Example: `  station card create alex.card
  station issue --case CASE --card alex.card --url https://127.0.0.1:8443 --as operators/manager.pem
  station show --card alex.card`,
		SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().BoolVar(&s.json, "json", false, "print data as JSON, one document a line")
	root.AddCommand(issueCommand(s), renewCommand(s), deskCommand(s), showCommand(s), pinCommand(s), cardCommand(s))
	s.markStarted(root)
	return root
}

// markStarted notes when a command begins to act: flags and arguments have
// been accepted by then, so what fails before is usage.
func (s *station) markStarted(c *cobra.Command) {
	for _, sub := range c.Commands() {
		s.markStarted(sub)
	}
	act := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		s.started = true
		return act(c, args)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
