package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// expectation is a question with its answer.
type expectation struct {
	question `yaml:",inline"`
	Want     string `yaml:"want"` // allowed or refused
}

var (
	errUnexpected  = errors.New("decided otherwise")
	errExpectation = errors.New("needs attr, right, and want: allowed or refused")
)

func accessTestCommand(a *app) *cobra.Command {
	var dir, rules string
	c := &cobra.Command{Use: "test FILE", Short: "Hold the access rules to decisions that are expected", Args: cobra.ExactArgs(1),
		Long: `Reads FILE, a YAML list of questions with their answers, and reports those the rules decide
otherwise. Exit code 1 if there is one. Each has as, on, attr, right and want (allowed or refused),
and may have by, from and strength as access explain does.`,
		Example: "  cardinal access test --dir cards expected.yaml\n  # - {as: \"cn=app,ou=Services,o=nhs\", on: \"ou=People,o=nhs\", attr: entry, right: read, want: allowed}",
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := readExpectations(args[0])
			if err != nil {
				return err
			}
			e, err := a.explainer(cmd.Context(), dir, rules)
			if err != nil {
				return err
			}
			defer e.close()
			return e.hold(args[0], list)
		}}
	dirFlag(c, &dir)
	c.Flags().StringVar(&rules, "rules", "", "file of rules in place of those in force")
	return c
}

func readExpectations(path string) ([]expectation, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("reading what is expected", err)
	}
	var list []expectation
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
		return nil, usage("reading "+path, err)
	}
	for i, x := range list {
		if x.Attr == "" || x.Right == "" || x.Want != "allowed" && x.Want != "refused" {
			return nil, usage(fmt.Sprintf("reading %s: number %d", path, i+1), errExpectation)
		}
	}
	return list, nil
}

// hold reports the decisions that are not as expected.
func (e *explainer) hold(file string, list []expectation) error {
	bad := []accessFinding{}
	for i := range list {
		x := &list[i]
		answers, err := e.explain(&x.question)
		if err != nil {
			return failing(fmt.Sprintf("%s: number %d", file, i+1), err)
		}
		for _, d := range answers {
			if d.Allowed != (x.Want == "allowed") {
				bad = append(bad, accessFinding{File: e.file, Line: d.Line, Rule: d.Rule, Kind: "unexpected",
					Text: fmt.Sprintf("number %d: %s of %s on %q as %q should be %s", i+1, d.Right, d.Attribute, x.On, x.As, x.Want)})
			}
		}
	}
	err := e.a.print(struct {
		OK       bool            `json:"ok"`
		Held     int             `json:"held"`
		Findings []accessFinding `json:"findings"`
	}{len(bad) == 0, len(list), bad}, func(w io.Writer) {
		for _, x := range bad {
			row(w, fmt.Sprintf("%s:%d", x.File, x.Line), x.Rule, x.Text)
		}
		row(w, "expectations", len(list))
	})
	if err != nil || len(bad) == 0 {
		return err
	}
	return wrong("access test", fmt.Errorf("%w: %d of %d", errUnexpected, len(bad), len(list)))
}
