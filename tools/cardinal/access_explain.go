package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ledger"
	"cardinal/internal/replica"
)

// question is who wants to do what with what.
type question struct {
	As       string `yaml:"as"` // a name; "" or anonymous is nobody
	On       string `yaml:"on"`
	Attr     string `yaml:"attr"`  // "": the entry and every attribute it has
	Right    string `yaml:"right"` // "": every right
	By       string `yaml:"by"`    // how the identity was shown
	From     string `yaml:"from"`
	Strength int    `yaml:"strength"`
}

// accessDecision is one answer: what is decided, and where that stands.
type accessDecision struct {
	Attribute string `json:"attribute"`
	Right     string `json:"right"`
	Allowed   bool   `json:"allowed"`
	Rule      string `json:"rule"`
	Line      int    `json:"line,omitempty"`
	steps     []directory.Step
}

func accessExplainCommand(a *app) *cobra.Command {
	var dir, rules string
	var q question
	var all bool
	c := &cobra.Command{Use: "explain", Short: "Say which rule decides what an identity may do with an entry", Args: cobra.NoArgs,
		Long: `Says for each right and attribute whether an identity has it on an entry, and which rule (file and
line) decides. It asks a copy of the replica, also beside a serving process, and changes nothing.
--attr entry is the entry itself. Managed subtrees refuse updates whatever the rules say.`,
		Example: "  cardinal access explain --dir cards --as cn=app,ou=Services,o=nhs --on uid=900000000017,ou=People,o=nhs --attr mail --right read",
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.explainer(cmd.Context(), dir, rules)
			if err != nil {
				return err
			}
			defer e.close()
			answers, err := e.explain(&q)
			if err != nil {
				return failing("access explain", err)
			}
			return e.print(answers, all)
		}}
	dirFlag(c, &dir)
	c.Flags().StringVar(&rules, "rules", "", "file of rules in place of those in force")
	c.Flags().StringVar(&q.As, "as", "", "name of the identity; without it, nobody's")
	c.Flags().StringVar(&q.On, "on", "", "name of the entry; empty is the root DSE")
	c.Flags().StringVar(&q.Attr, "attr", "", "an attribute, or entry; without it all the entry has")
	c.Flags().StringVar(&q.Right, "right", "", "a right; without it all")
	c.Flags().StringVar(&q.By, "by", "simple", "how the identity was shown: simple, EXTERNAL, PLAIN, SCRAM-SHA-256, certificate")
	c.Flags().StringVar(&q.From, "from", "", "address the connection comes from")
	c.Flags().IntVar(&q.Strength, "strength", 256, "bits of the key that encrypts the connection; 0 is none")
	c.Flags().BoolVar(&all, "all", false, "every rule, with why it fits or not")
	return c
}

// explainer answers questions from a copy of the replica.
type explainer struct {
	a         *app
	directory *directoryOf
	rules     *directory.Rules
	file      string
	copy      *readSide
	ledger    *ledger.Ledger
	remove    func()
}

func (a *app) explainer(ctx context.Context, dir, rules string) (e *explainer, err error) {
	f, config, err := a.open(dir)
	if err != nil {
		return nil, err
	}
	var named []string
	if rules != "" {
		named = append(named, rules)
	}
	e = &explainer{a: a, remove: func() {}}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	var text []byte
	if e.file, text, err = rulesText(f, config, named); err != nil {
		return nil, err
	}
	config.Directory.Rules = ""
	if e.directory, err = loadDirectory(f, config); err != nil {
		return nil, err
	}
	if e.rules, err = e.directory.schema.ParseRules(text); err != nil {
		return nil, usage(e.file, fmt.Errorf("%w: %w", errRulesWrong, err))
	}
	v := &verifier{a: a, folder: f, config: config}
	folder, remove, err := v.scratch()
	if err != nil {
		return nil, err
	}
	e.remove = remove
	path := filepath.Join(folder, "replica.db")
	if err = v.copyLive(ctx, path); err != nil {
		return nil, usage("reading the replica", err)
	}
	if e.ledger, err = a.openReadOnly(ctx, f, config); err != nil {
		return nil, err
	}
	e.copy, err = openCopy(ctx, e.directory, replica.Options{Path: path, Feed: e.ledger.Feed()})
	return e, err
}

func (e *explainer) close() {
	if e.copy != nil {
		_ = e.copy.Close() // a copy nobody needs any more
	}
	if e.ledger != nil {
		_ = e.ledger.Close()
	}
	e.remove()
}

func (a *app) openReadOnly(ctx context.Context, f folder, c Config) (*ledger.Ledger, error) {
	options := a.ledgerOptions(f, c)
	options.ReadOnly = true
	l, err := ledger.Open(ctx, options)
	if err != nil {
		return nil, usageIfSchema("opening the ledger", err)
	}
	return l, nil
}

// copyLive writes the replica in use to path.
func (v *verifier) copyLive(ctx context.Context, path string) error {
	err := v.askCopy(ctx, path)
	if !isUnreachable(err) {
		return err
	}
	from, err := os.Open(v.folder.replica()) // nobody serves: the file is free
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// explain answers a question about every right and attribute it leaves open.
func (e *explainer) explain(q *question) ([]accessDecision, error) {
	who, err := e.identity(q)
	if err != nil {
		return nil, err
	}
	var rights []directory.Right
	for _, r := range directory.AllRights() {
		if wanted, known := directory.ParseRight(q.Right); q.Right == "" || known && wanted&r != 0 {
			rights = append(rights, r)
		}
	}
	if len(rights) == 0 {
		return nil, usage("--right "+q.Right, errNoRight)
	}
	key, err := e.directory.schema.ParseKey(q.On)
	if err != nil {
		return nil, usage("--on", err)
	}
	var out []accessDecision
	ask := func(on directory.EntryView, attributes []string) {
		if q.Attr != "" {
			attributes = []string{q.Attr}
		}
		for _, name := range attributes {
			for _, right := range rights {
				d, steps := e.rules.Explain(who, on, name, right)
				out = append(out, accessDecision{name, right.String(), d.Allowed, d.Rule, d.Line, steps})
			}
		}
	}
	if key == "" || q.On == tree.SubschemaDN {
		dn, _ := directory.ParseDN(q.On) // it has a key
		view, err := e.directory.schema.View(&directory.Entry{DN: dn})
		if err == nil {
			ask(view, []string{directory.EntryPart})
		}
		return out, err
	}
	err = e.copy.tree.Get(key, func(at *tree.Entry) error {
		attributes := []string{directory.EntryPart}
		at.Each(func(x *tree.Attribute) bool { attributes = append(attributes, x.Name); return true })
		ask(at, attributes)
		return nil
	})
	return out, err
}

var errNoRight = errors.New("is no right")

// identity is who asks, with groups and facts as a bind would find them.
func (e *explainer) identity(q *question) (*directory.Identity, error) {
	who := &directory.Identity{Strength: q.Strength}
	if q.From != "" {
		peer, err := netip.ParseAddr(q.From)
		if err != nil {
			return nil, usage("--from", err)
		}
		who.Peer = peer
	}
	if q.As == "" || q.As == "anonymous" {
		return who, nil
	}
	var err error
	if who.DN, err = directory.ParseDN(q.As); err != nil {
		return nil, usage("--as", err)
	}
	schema := e.directory.schema
	if who.Key, err = schema.Key(who.DN); err != nil {
		return nil, usage("--as", err)
	}
	who.Method, who.Certified = q.By, q.By == "certificate" || q.By == "EXTERNAL"
	on, err := schema.ParseKey(q.On)
	if err != nil {
		return nil, usage("--on", err)
	}
	for _, s := range e.directory.roots {
		root, _ := schema.Key(s.RootDN)
		suffix, _ := schema.Key(s.DN)
		who.Root = who.Root || root != "" && root == who.Key && suffix.Contains(on)
	}
	who.Facts = e.rules.Facts(nil)
	_ = e.copy.tree.Get(who.Key, func(own *tree.Entry) error { // without an entry no filter fits
		who.Facts = e.rules.Facts(own)
		return nil
	})
	who.Groups = e.groups(who.DN)
	return who, nil
}

func (e *explainer) groups(dn directory.DN) (out []directory.Key) {
	f := &directory.Filter{Kind: directory.FilterOr}
	for _, name := range []string{"member", "uniqueMember"} {
		f.Children = append(f.Children, &directory.Filter{Kind: directory.FilterEquality, Attr: name, Value: []byte(dn.String())})
	}
	for _, suffix := range e.directory.suffixes {
		base, _ := e.directory.schema.Key(suffix)
		_, _ = e.copy.tree.Open(tree.Request{Base: base, Scope: tree.ScopeSubtree, Filter: f}).Step(0, func(g *tree.Entry) bool {
			out = append(out, g.Key())
			return true
		})
	}
	return out
}

func (e *explainer) print(answers []accessDecision, all bool) error {
	return e.a.print(struct {
		File      string           `json:"file"`
		Decisions []accessDecision `json:"decisions"`
	}{e.file, answers}, func(w io.Writer) {
		for _, d := range answers {
			where := ""
			if d.Line > 0 {
				where = fmt.Sprintf("%s:%d", e.file, d.Line)
			}
			row(w, d.Attribute, d.Right, map[bool]string{true: "allowed", false: "refused"}[d.Allowed], d.Rule, where)
			for _, s := range d.steps {
				if all {
					row(w, "", "", "", s.Rule, fmt.Sprintf("%s:%d: %s", e.file, s.Line, s.Why))
				}
			}
		}
	})
}
