package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// demoOptions are what the demo is asked for.
type demoOptions struct {
	dir     string
	people  int
	orgs    int
	seed    uint64
	fresh   bool
	once    bool
	program string // runs every command of the demo; a test puts a liar here
}

var (
	errStepFailed = errors.New("a step did not hold")
	errNotDemo    = errors.New("the folder holds something that is no demo: give --fresh to remove it, or another --dir")
)

func demoCommand(a *app) *cobra.Command {
	o := demoOptions{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Set up everything in a folder, live through a card's life, and stay up serving",
		Long: `Set up everything in a folder and live through a card's life: hierarchy, a
synthetic workforce, a person registered, approved and issued a card, a login, the
card reported lost, the next login refused, a replacement, suspension, renewal, and
a login three years later with 30 days left.

The demo starts "cardinal serve" as a child and uses sockets and public commands
only, as a stranger would. It stays up until it is interrupted; with --once it ends,
with exit code 0 only if every step held. On a folder it made before, it starts that
installation again.`,
		Example: "  cardinal demo\n  cardinal demo --once --people 100 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := newDemo(a, o)
			if err != nil {
				return err
			}
			defer d.end()
			return d.run(cmd.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "cardinal-demo", "folder to set up, or one the demo made before")
	f.IntVar(&o.people, "people", 10_000, "people in the synthetic workforce, with one to four roles each")
	f.IntVar(&o.orgs, "organisations", 500, "organisations they work in")
	f.Uint64Var(&o.seed, "seed", 1, "the same seed makes the same workforce")
	f.BoolVar(&o.fresh, "fresh", false, "remove what the demo made there before")
	f.BoolVar(&o.once, "once", false, "end when all steps are done")
	f.StringVar(&o.program, "program", "", "program that runs the commands (default: this one)")
	if err := f.MarkHidden("program"); err != nil {
		panic(err) // the flag was declared one line above
	}
	return c
}

// demo is one run: the folder, the serving child and what has been found out so far.
type demo struct {
	a       *app
	o       demoOptions
	folder  folder
	scratch string // the demo's own files: passphrase, cards, evidence
	server  *child
	ready   ready
	failed  bool
	refused float64 // milliseconds from cancel's return to the first refused login; 0: not measured
	doctor  *holder
}

func newDemo(a *app, o demoOptions) (*demo, error) {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, usage("demo", err)
	}
	if o.program == "" {
		if o.program, err = os.Executable(); err != nil {
			return nil, wrong("demo", err)
		}
	}
	if o.people < 1 || o.orgs < 1 {
		return nil, usage("demo", errors.New("--people and --organisations want at least 1"))
	}
	return &demo{a: a, o: o, folder: folder(dir), scratch: filepath.Join(dir, "demo")}, nil
}

// run does every step and reports. The error says that a step did not hold.
func (d *demo) run(ctx context.Context) error {
	err := d.steps(ctx)
	if err != nil {
		d.failed = true
	}
	if d.a.json {
		last := map[string]any{"done": true, "ok": !d.failed, "refused_after_ms": d.refused}
		if printed := d.a.printJSON(last); printed != nil {
			return printed
		}
	}
	if err != nil {
		return wrong("demo", err)
	}
	d.invite()
	if d.o.once {
		return nil
	}
	return d.stay(ctx)
}

// steps is the story. Each chapter returns at the first step that did not hold.
func (d *demo) steps(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{
		d.setUp, d.begin, d.firstCard, d.lostCard, d.suspendedCard, d.renewedCard, d.yearsLater,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

// demoStep is one line of the demo.
type demoStep struct {
	Step   string  `json:"step"`
	OK     bool    `json:"ok"`
	Millis float64 `json:"ms"`
	Detail string  `json:"detail"`
}

// step runs one step, prints how it went and returns its error.
func (d *demo) step(name string, run func() (string, error)) error {
	begin := time.Now()
	detail, err := run()
	s := demoStep{Step: name, OK: err == nil, Millis: millis(time.Since(begin)), Detail: detail}
	if err != nil {
		s.Detail = err.Error()
	}
	if printed := d.show(s); printed != nil {
		return printed
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", name, errStepFailed, err)
	}
	return nil
}

func (d *demo) show(s demoStep) error {
	if d.a.json {
		return d.a.printJSON(s)
	}
	mark := "ok"
	if !s.OK {
		mark = "NO"
	}
	_, err := fmt.Fprintf(d.a.out, "%s  %-18s %9.1f ms  %s\n", mark, s.Step, s.Millis, s.Detail)
	return err
}

func millis(t time.Duration) float64 { return float64(t.Microseconds()) / 1000 }

// invite says how to go on by hand.
func (d *demo) invite() {
	if d.o.once {
		return
	}
	d.a.say("")
	d.a.say("Cardinal is serving. Try, from another terminal:")
	d.a.say("  export CARDINAL_OPERATOR=%s CARDINAL_TRUST=%s", filepath.Join(d.folder.operators(), "manager.pem"), d.folder.trust())
	d.a.say("  cardinal card list --server %s", d.ready.Issuance)
	d.a.say("  LDAPTLS_CACERT=%s ldapsearch -x -H %s -b '' -s base '+'", d.folder.trust(), d.ready.LDAPS)
	d.a.say("  curl %s/ca/root.cer | openssl x509 -inform DER -noout -text", d.ready.Status)
	d.a.say("End it with Ctrl-C.")
}

// stay waits until the demo is interrupted or the server ends by itself.
func (d *demo) stay(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.server.ended:
		return wrong("demo", fmt.Errorf("serve ended by itself: %w", d.server.err))
	}
}

// end stops the server. What the demo made stays in its folder.
func (d *demo) end() {
	if d.server != nil {
		d.server.stop()
	}
}
