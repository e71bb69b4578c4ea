package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"cardinal/tools/internal/workforce"
)

// workforceFlags name a workforce; the load generators ask for the same people
// that `load people` wrote.
func workforceFlags(c *cobra.Command, o *workforce.Options) {
	c.Flags().IntVar(&o.People, "people", 10_000, "people")
	c.Flags().IntVar(&o.Organisations, "organisations", 500, "organisations they work for")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "the same seed gives the same people")
	c.Flags().StringVar(&o.Suffix, "suffix", "o=nhs", "the tree they hang in")
}

func peopleCommand(out io.Writer) *cobra.Command {
	var o workforce.Options
	var to string
	c := &cobra.Command{Use: "people", Short: "Write a synthetic workforce as LDIF", Args: cobra.NoArgs,
		Example: "  load people --people 200000 --organisations 10000 --out people.ldif",
		RunE: func(*cobra.Command, []string) error {
			if to == "" {
				_, err := workforce.WriteLDIF(out, workforce.All(o))
				return err
			}
			f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := workforce.WriteLDIF(f, workforce.All(o)); err != nil {
				return err
			}
			return f.Close()
		}}
	workforceFlags(c, &o)
	c.Flags().StringVar(&to, "out", "", "file to write (default: standard output)")
	return c
}
