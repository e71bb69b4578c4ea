package main

import (
	"context"
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
older one up, in one transaction. Then it completes the index that directory.integrity and
directory.unique of cardinal.yaml need, so that the next serve refuses no update for want of it.
Stop every serve of this ledger first, and make a backup.`,
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
			filled, err := a.completeIndex(cmd.Context(), f, config)
			if err != nil {
				return failing("completing the index for referential integrity and uniqueness", err)
			}
			return a.print(struct {
				Migrated []string `json:"migrated"`
				Indexed  []string `json:"indexed"`
			}{append([]string{}, done...), append([]string{}, filled...)}, func(w io.Writer) {
				for _, d := range done {
					row(w, d)
				}
				for _, attribute := range filled {
					row(w, "indexed", attribute)
				}
				if len(done)+len(filled) == 0 {
					fmt.Fprintln(w, "nothing to do")
				}
			})
		}}
	dirFlag(c, &dir)
	return c
}

// completeIndex does what serve would do in the background.
func (a *app) completeIndex(ctx context.Context, f folder, config Config) (filled []string, err error) {
	d, err := loadDirectory(f, config)
	if err != nil {
		return nil, err
	}
	entries, err := d.register()
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(ctx, a.ledgerOptions(f, config))
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, l)
	return entries.Fill(ctx, l)
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
