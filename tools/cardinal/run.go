// Command cardinal is the whole of Cardinal on the command line: it makes an
// installation (init), serves it (serve), moves data in and out, and talks to
// a serving one as a named operator.
//
// Results go to standard output, progress and logs to standard error. Exit
// codes: 0 done, 1 checked and found wrong, 2 usage or configuration,
// 3 refused by a rule, 4 unreachable. An error is one line,
// "cardinal: what: why".
package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// app is what every command is given: where to read and write, the clock and
// the environment. Tests make their own.
type app struct {
	in      io.Reader
	out     io.Writer // results
	err     io.Writer // progress, logs
	env     func(string) string
	now     func() time.Time
	json    bool // print data as JSON, one document a line
	started bool // set once flags and arguments were accepted; errors before that are usage
}

// run does what args say and returns nil or an error that exit turns into the
// one line and the exit code. It ends early when ctx does.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	a := &app{in: stdin, out: stdout, err: stderr, env: os.Getenv, now: time.Now}
	root := rootCommand(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.started {
		return usage("usage", err)
	}
	return err
}

func rootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "cardinal",
		Short: "A certification authority, directory and status service for a workforce with smartcards",
		Example: `  cardinal demo
  cardinal init --dir cards --public-url http://pki.example.org
  cardinal serve --dir cards`,
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print data as JSON, one document a line")
	root.AddGroup(&cobra.Group{ID: "house", Title: "An installation:"}, &cobra.Group{ID: "desk", Title: "People and cards (as an operator, over the API):"}, &cobra.Group{ID: "look", Title: "Looking:"})
	group := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
		}
		root.AddCommand(commands...)
	}
	group("house", initCommand(a), serveCommand(a), importCommand(a), exportCommand(a), backupCommand(a), restoreCommand(a), migrateCommand(a), verifyCommand(a), nodeCommand(a))
	group("desk", personCommand(a), positionCommand(a), caseCommand(a), cardCommand(a))
	group("look", certCommand(a), crlCommand(a), caCommand(a), accessCommand(a), loginCommand(a), watchCommand(a), monitorCommand(a), demoCommand(a))
	markStarted(a, root)
	return root
}

// markStarted notes when a command begins to act: flags, arguments and
// required flags have been checked by then, so what fails before is usage.
func markStarted(a *app, c *cobra.Command) {
	for _, sub := range c.Commands() {
		markStarted(a, sub)
	}
	act := c.RunE
	if act == nil {
		return
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		a.started = true
		return act(cmd, args)
	}
}

// parent is a command that only holds others.
func parent(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.NoArgs}
	c.RunE = func(cmd *cobra.Command, _ []string) error { return usage(use, errWantsCommand) }
	c.AddCommand(commands...)
	return c
}
