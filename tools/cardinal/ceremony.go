package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
)

var (
	errNotReviewed = errors.New("is not the file that was reviewed")
	errReviewFirst = errors.New("says not which file was reviewed: look at it with --check, then give --sha256 with the sum that it prints")
)

// ceremonyFlags are common to all commands that hold a ceremony.
type ceremonyFlags struct {
	a                         *app
	dir, passphrase, rootPass string
	rootKeys                  map[string]string
	write, witness, sha256    string
	check                     bool
}

func (x *ceremonyFlags) add(c *cobra.Command) {
	f := c.Flags()
	dirFlag(c, &x.dir)
	passphraseFlag(c, &x.passphrase)
	f.StringVar(&x.rootPass, "root-passphrase-file", "", "file whose first line is the passphrase of the roots' keys (default: that of the CA keys)")
}

// planned adds what a command needs that writes its own plan.
func (x *ceremonyFlags) planned(c *cobra.Command) {
	x.add(c)
	f := c.Flags()
	f.StringToStringVar(&x.rootKeys, "key", nil, "where an authority's key is or is made, as in root=file:/media/safe/root.key; may be repeated")
	f.StringVar(&x.write, "write", "", "write the ceremony's file, to be reviewed, and do nothing else")
	f.StringVar(&x.witness, "witnesses", "", "who is there, separated by commas")
}

func ceremonyCommand(a *app) *cobra.Command {
	x := &ceremonyFlags{a: a}
	c := &cobra.Command{Use: "ceremony FILE", Short: "Do what a reviewed file says with the roots' keys", Args: cobra.ExactArgs(1),
		Long: `A ceremony's file says what is done with the keys of the roots, step by step: read it, have others
read it, agree on its SHA-256 (--check prints it), fetch the keys, and hold it. The ledger keeps the
file with every step it led to. What is done already is passed over, so one that was interrupted is
held again. serve may run meanwhile and takes up what was done.

  ceremony: The second authentication CA
  installation: Example Trust
  witnesses: [A. Example, B. Example]
  keys: {root: "file:/media/safe/root.key", authentication-2: "file:keys/authentication-2.key"}
  steps:
    - make: {name: authentication-2, from: 2027-01-04T06:00:00Z}
    - cross-sign: {name: authentication-2, by: root-2}
    - revoke: {name: signing, reason: superseded}
    - retire: {name: services, archive: archive/services.jsonl, destroyKey: true}
    - start: {name: signing-2, from: now}
    - list: {name: root}`,
		Example: "  cardinal ca ceremony second.yaml --dir cards --check\n  cardinal ca ceremony second.yaml --dir cards --sha256 3f5a…",
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return usage("reading the ceremony", err)
			}
			return failing("ceremony "+args[0], x.run(cmd.Context(), func(c Config) (*ceremonyPlan, error) { return x.reviewed(text, c) }))
		}}
	x.add(c)
	c.Flags().BoolVar(&x.check, "check", false, "say what it would do, and its SHA-256")
	c.Flags().StringVar(&x.sha256, "sha256", "", "SHA-256 of the file that was reviewed")
	return c
}

// reviewed reads a ceremony's file and holds it against what was agreed on.
func (x *ceremonyFlags) reviewed(text []byte, c Config) (*ceremonyPlan, error) {
	p, err := parseCeremony(text, c.Name)
	switch {
	case err != nil:
		return nil, usage("reading the ceremony", err)
	case x.check:
		return p, nil
	case x.sha256 == "":
		return nil, usage("--sha256", errReviewFirst)
	case !strings.EqualFold(x.sha256, p.hash()):
		return nil, refused("SHA-256 "+p.hash(), errNotReviewed)
	}
	return p, nil
}

// run holds, shows or writes the plan a command gives.
func (x *ceremonyFlags) run(ctx context.Context, plan func(Config) (*ceremonyPlan, error)) error {
	f, config, err := x.a.open(x.dir)
	if err != nil {
		return err
	}
	p, err := plan(config)
	if err != nil {
		return err
	}
	switch {
	case x.check:
		return x.show(p)
	case x.write != "":
		if err := replaceFile(x.write, p.text); err != nil {
			return err
		}
		return x.show(p)
	}
	c := &ceremony{a: x.a, plan: p, folder: f, config: config}
	if c.pass, err = x.a.passphrase(x.passphrase, false); err != nil {
		return err
	}
	c.rootPass = c.pass
	if x.rootPass != "" {
		if c.rootPass, err = x.a.passphrase(x.rootPass, false); err != nil {
			return err
		}
	}
	held, err := c.hold(ctx)
	if err != nil {
		return asCeremonyRefusal(err)
	}
	return x.a.print(held, held.table)
}

// asCeremonyRefusal gives what an authority refuses the exit code of refusals.
func asCeremonyRefusal(err error) error {
	for _, known := range []error{ca.ErrGeneration, ca.ErrUnended, ca.ErrNotBelow, ca.ErrNoKey, ca.ErrUnknownIssuer, ca.ErrOtherName, register.ErrGenerationEnded} {
		if errors.Is(err, known) {
			return refused("ceremony", err)
		}
	}
	return err
}

func (x *ceremonyFlags) show(p *ceremonyPlan) error {
	held := heldCeremony{Ceremony: p.Ceremony, SHA256: p.hash(), Steps: []heldStep{}}
	for i := range p.Steps {
		held.Steps = append(held.Steps, heldStep{Step: p.Steps[i].String()})
	}
	return x.a.print(held, held.table)
}

func (h heldCeremony) table(w io.Writer) {
	row(w, "ceremony", h.Ceremony)
	row(w, "SHA-256", h.SHA256)
	for i, s := range h.Steps {
		row(w, fmt.Sprintf("step %d", i+1), s.Step, s.Done)
	}
}

// of makes the plan of a command with one step.
func (x *ceremonyFlags) of(title string, steps ...ceremonyStep) func(Config) (*ceremonyPlan, error) {
	return func(c Config) (*ceremonyPlan, error) {
		p := &ceremonyPlan{Ceremony: title, Installation: c.Name, Keys: map[string]string{}, Steps: steps}
		for name, uri := range x.rootKeys {
			p.Keys[name] = uri
			if path, isFile := strings.CutPrefix(uri, "file:"); isFile { // said here, not in the folder
				absolute, err := filepath.Abs(path)
				if err != nil {
					return nil, err
				}
				p.Keys[name] = "file:" + absolute
			}
		}
		if x.witness != "" {
			for w := range strings.SplitSeq(x.witness, ",") {
				p.Witnesses = append(p.Witnesses, strings.TrimSpace(w))
			}
		}
		made, err := p.render()
		if err != nil {
			return nil, usage("ceremony", err)
		}
		return made, nil
	}
}

func (x *ceremonyFlags) command(c *cobra.Command, plan func(args []string) (func(Config) (*ceremonyPlan, error), error)) *cobra.Command {
	c.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := plan(args)
		if err != nil {
			return err
		}
		return failing("ca "+c.Name(), x.run(cmd.Context(), p))
	}
	x.planned(c)
	return c
}

func rolloverCommand(a *app) *cobra.Command {
	x := &ceremonyFlags{a: a}
	var from string
	c := &cobra.Command{Use: "rollover KIND", Short: "Make the next generation of a CA", Args: cobra.ExactArgs(1),
		Long: `Makes the next authority of a kind (authentication, signing, services, root): its key, its certificate
below the newest root whose key is given, its first lists; and says from when on it issues. The old
one goes on issuing until then, and after that goes on answering for what it issued. Give relying
systems the new certificate (trust.pem, or http://…/ca/NAME.cer) before that day: not all fetch it.`,
		Example: "  cardinal ca rollover authentication --dir cards --key root=file:/media/safe/root.key --from 2027-01-04T06:00:00Z"}
	c = x.command(c, func(args []string) (func(Config) (*ceremonyPlan, error), error) {
		return func(config Config) (*ceremonyPlan, error) {
			next, err := x.next(c.Context(), args[0])
			if err != nil {
				return nil, err
			}
			return x.of("Make "+next, ceremonyStep{Make: &makeStep{Name: next, From: from}})(config)
		}, nil
	})
	c.Flags().StringVar(&from, "from", "now", "when it begins to issue: now, or a time as 2027-01-04T06:00:00Z")
	return c
}

// next is the name of the next generation of a kind, as the ledger stands.
func (x *ceremonyFlags) next(ctx context.Context, kind string) (name string, err error) {
	f, config, err := x.a.open(x.dir)
	if err != nil {
		return "", err
	}
	l, err := x.a.openLedger(ctx, f, config)
	if err != nil {
		return "", err
	}
	defer closeInto(&err, l)
	youngest := certs.IssuerName{Kind: kind}
	err = l.Read(ctx, func(tx *ledger.Tx) error {
		all, err := register.Issuers(tx)
		for _, i := range all {
			if n, err := certs.ParseIssuerName(i.Name); err == nil && n.Kind == kind {
				youngest.Generation = max(youngest.Generation, n.Generation)
			}
		}
		return err
	})
	if err == nil && youngest.Generation == 0 {
		err = usage(kind, ca.ErrUnknownIssuer)
	}
	return youngest.Next().String(), err
}

func crossSignCommand(a *app) *cobra.Command {
	x := &ceremonyFlags{a: a}
	var by string
	c := x.command(&cobra.Command{Use: "cross-sign NAME", Short: "Have another root certify a CA's key", Args: cobra.ExactArgs(1),
		Long: `Relying systems that trust only --by then accept what stands below NAME. The certificate joins the
others at http://…/ca/NAME.p7c and is written to the folder's ca/.`,
		Example: "  cardinal ca cross-sign authentication --by root-2 --dir cards --key root-2=file:/media/safe/root-2.key"},
		func(args []string) (func(Config) (*ceremonyPlan, error), error) {
			return x.of("Certify "+args[0]+" by "+by, ceremonyStep{CrossSign: &crossStep{Name: args[0], By: by}}), nil
		})
	c.Flags().StringVar(&by, "by", "", "the root that signs")
	return required(c, "by")
}

func revokeIssuerCommand(a *app) *cobra.Command {
	x := &ceremonyFlags{a: a}
	var reason string
	c := x.command(&cobra.Command{Use: "revoke NAME", Short: "Revoke a CA", Args: cobra.ExactArgs(1),
		Long: `The CA issues nothing more from that moment on, on any machine, and stands on the list of the root that
signed it. Each certificate below it fails with it: the status service calls them revoked. There is no
way back. Make the next generation first (ca rollover), and cards renew onto it.`,
		Example: "  cardinal ca revoke authentication --reason cACompromise --dir cards --key root=file:/media/safe/root.key"},
		func(args []string) (func(Config) (*ceremonyPlan, error), error) {
			return x.of("Revoke "+args[0], ceremonyStep{Revoke: &revokeStep{Name: args[0], Reason: reason}}), nil
		})
	c.Flags().StringVar(&reason, "reason", "", "cACompromise, superseded, cessationOfOperation, …")
	return required(c, "reason")
}

func retireCommand(a *app) *cobra.Command {
	x := &ceremonyFlags{a: a}
	s := retireStep{}
	c := x.command(&cobra.Command{Use: "retire NAME", Short: "Close a CA whose certificates have ended", Args: cobra.ExactArgs(1),
		Long: `Each shard gets a last list that never falls due, what became of every certificate is written to an
archive that the CA's key signs (FILE and FILE.sig: a signature over SHA-256), and with --destroy-key
the key is destroyed. Check an archive with

  openssl x509 -inform der -in ca/NAME.cer -noout -pubkey > NAME.pub
  openssl dgst -sha256 -verify NAME.pub -signature FILE.sig FILE`,
		Example: "  cardinal ca retire authentication --dir cards --archive archive/authentication.jsonl --destroy-key"},
		func(args []string) (func(Config) (*ceremonyPlan, error), error) {
			s.Name = args[0]
			return x.of("Retire "+args[0], ceremonyStep{Retire: &s}), nil
		})
	c.Flags().StringVar(&s.Archive, "archive", "", "file for the fates of its certificates, below the folder unless absolute")
	c.Flags().BoolVar(&s.Early, "early", false, "though certificates have not ended")
	c.Flags().BoolVar(&s.DestroyKey, "destroy-key", false, "destroy its key at the end")
	return required(c, "archive")
}

func startCommand(a *app) *cobra.Command {
	x := &ceremonyFlags{a: a}
	var from string
	c := x.command(&cobra.Command{Use: "start NAME", Short: "Say from when on a CA issues", Args: cobra.ExactArgs(1),
		Long:    `The last word counts, until it has begun. Of a kind the generation that began last issues.`,
		Example: "  cardinal ca start authentication-2 --from 2027-02-01T06:00:00Z --dir cards"},
		func(args []string) (func(Config) (*ceremonyPlan, error), error) {
			return x.of("Start "+args[0], ceremonyStep{Start: &startStep{Name: args[0], From: from}}), nil
		})
	c.Flags().StringVar(&from, "from", "now", "now, or a time as 2027-01-04T06:00:00Z")
	return c
}

func required(c *cobra.Command, flag string) *cobra.Command {
	if err := c.MarkFlagRequired(flag); err != nil {
		panic(err) // the flag was added a line above
	}
	return c
}

// stageOf is where an authority stands, in words.
func stageOf(starts, stopped *time.Time, how string, now time.Time) string {
	switch {
	case stopped != nil:
		return how + " " + stopped.Format(time.DateOnly)
	case starts == nil:
		return "not started"
	case now.Before(*starts):
		return "issues from " + starts.Format(time.RFC3339)
	}
	return "issues"
}
