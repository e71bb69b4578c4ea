package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cardinal/internal/ledger"
)

func migrateCommand(a *app) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "migrate", Short: "Bring the ledger's tables to this program's version", Args: cobra.NoArgs,
		Long: `Each room's tables have a version. serve refuses a ledger of another version; migrate brings an
older one up, in one transaction. Stop every serve of this ledger first, and make a backup.`,
		Example: "  cardinal migrate --dir cards",
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, config, err := a.open(dir)
			if err != nil {
				return err
			}
			done, err := ledger.Migrate(cmd.Context(), a.ledgerOptions(f, config))
			if err != nil {
				return usageIfSchema("migrating", err)
			}
			return a.print(struct {
				Migrated []string `json:"migrated"`
			}{append([]string{}, done...)}, func(w io.Writer) {
				for _, d := range done {
					row(w, d)
				}
				if len(done) == 0 {
					fmt.Fprintln(w, "nothing to do")
				}
			})
		}}
	dirFlag(c, &dir)
	return c
}

// usageIfSchema: tables of another version are a matter of which program is
// run on them, and a ledger that is not there of what is configured.
func usageIfSchema(what string, err error) error {
	var schema *ledger.SchemaError
	if errors.As(err, &schema) || errors.Is(err, ledger.ErrMissing) {
		return usage(what, err)
	}
	return failing(what, err)
}
