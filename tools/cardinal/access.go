package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cardinal/directory"
)

func accessCommand(a *app) *cobra.Command {
	return parent("access", "Check and explain the access rules of the directory", "  cardinal access check --dir cards\n  cardinal access explain --dir cards --as cn=app,ou=Services,o=nhs --on uid=900000000017,ou=People,o=nhs --attr mail",
		accessCheckCommand(a), accessExplainCommand(a), accessTestCommand(a), accessReloadCommand(a))
}

var (
	errAccessFindings = errors.New("there is something to look at")
	errRulesWrong     = errors.New("the rules do not parse")
)

// accessFinding is a mistake or something hardly meant in a file of rules.
type accessFinding struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Rule string `json:"rule,omitempty"`
	Kind string `json:"kind"` // mistake, or as directory.AccessFinding
	Text string `json:"text"`
}

func accessCheckCommand(a *app) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "check [FILE]", Short: "Look for mistakes in access rules", Args: cobra.MaximumNArgs(1),
		Long: `Reads the access rules of an installation, or of FILE, and reports what is wrong or hardly meant:
unknown attributes and classes, rules that can never decide because others before them do, rules
that give strangers more than the root DSE and the schema, rights to write where issuance alone
writes, rules about secrets, special rights for many. Exit code 1 with findings.`,
		Example: "  cardinal access check --dir cards\n  cardinal access check --dir cards new-rules.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			f, config, err := a.open(dir)
			if err != nil {
				return err
			}
			file, text, err := rulesText(f, config, args)
			if err != nil {
				return err
			}
			config.Directory.Rules = "" // a mistake in them is a finding
			d, err := loadDirectory(f, config)
			if err != nil {
				return err
			}
			return a.printAccessFindings(checkRules(d, file, text))
		}}
	dirFlag(c, &dir)
	return c
}

// rulesText reads the rules an installation uses, or those of a file named.
func rulesText(f folder, c Config, args []string) (file string, text []byte, err error) {
	switch {
	case len(args) > 0:
		file = args[0]
	case c.Directory.Rules == "":
		return "built-in rules", []byte(directory.DefaultRules), nil
	default:
		file = f.path(c.Directory.Rules)
	}
	if text, err = os.ReadFile(file); err != nil {
		return file, nil, usage("reading the access rules", err)
	}
	return file, text, nil
}

func checkRules(d *directoryOf, file string, text []byte) []accessFinding {
	rules, err := d.schema.ParseRules(text)
	if err != nil {
		return mistakes(file, err)
	}
	managed := make([]directory.Key, 0, len(d.managed))
	for _, dn := range d.managed {
		if key, err := d.schema.Key(dn); err == nil {
			managed = append(managed, key)
		}
	}
	out := []accessFinding{}
	for _, x := range rules.Lint(managed) {
		out = append(out, accessFinding{file, x.Line, x.Rule, x.Kind, x.Text})
	}
	return out
}

// mistakes are the problems of rules that do not parse, one each.
func mistakes(file string, err error) (out []accessFinding) {
	list := []error{err}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		list = joined.Unwrap()
	}
	for _, e := range list {
		x := accessFinding{File: file, Kind: "mistake", Text: strings.ReplaceAll(e.Error(), "\n", "; ")}
		var of *directory.RuleError
		if errors.As(e, &of) {
			x.Line, x.Rule, x.Text = of.Line, of.Rule, of.Problem
		}
		out = append(out, x)
	}
	return out
}

func (a *app) printAccessFindings(found []accessFinding) error {
	err := a.print(struct {
		OK       bool            `json:"ok"`
		Findings []accessFinding `json:"findings"`
	}{len(found) == 0, found}, func(w io.Writer) {
		for _, x := range found {
			row(w, fmt.Sprintf("%s:%d", x.File, x.Line), x.Rule, x.Kind, x.Text)
		}
		if len(found) == 0 {
			row(w, "nothing to report")
		}
	})
	if err != nil || len(found) == 0 {
		return err
	}
	return wrong("access check", fmt.Errorf("%w: %d findings", errAccessFindings, len(found)))
}
