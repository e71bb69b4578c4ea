package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
)

func exportCommand(a *app) *cobra.Command {
	var dir, base string
	c := &cobra.Command{Use: "export", Short: "Write the directory as LDIF on standard output", Args: cobra.NoArgs,
		Long: `Writes every entry below the base, or of all suffixes, parents first, from one consistent
snapshot of the entries of record. Passwords are never written.`,
		Example: "  cardinal export --dir cards --base ou=Organisations,o=nhs > organisations.ldif",
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, config, err := a.open(dir)
			if err != nil {
				return err
			}
			r, err := openRegister(f, config)
			if err != nil {
				return err
			}
			bases := r.Suffixes()
			if base != "" {
				dn, err := directory.ParseDN(base)
				if err != nil {
					return usage("--base", err)
				}
				bases = []directory.DN{dn}
			}
			options := a.ledgerOptions(f, config)
			options.ReadOnly = true
			l, err := ledger.Open(cmd.Context(), options)
			if err != nil {
				return usageIfSchema("opening the ledger", err)
			}
			defer l.Close()
			return failing("export", a.export(cmd.Context(), l, r, bases))
		}}
	dirFlag(c, &dir)
	c.Flags().StringVar(&base, "base", "", "DN to begin at (default: every suffix)")
	return c
}

func openRegister(f folder, c Config) (*register.Register, error) {
	d, err := loadDirectory(f, c)
	if err != nil {
		return nil, err
	}
	return d.register()
}

func (a *app) export(ctx context.Context, l *ledger.Ledger, r *register.Register, bases []directory.DN) error {
	w := bufio.NewWriterSize(a.out, 1<<16)
	bar := a.progress("entries", 0)
	if _, err := io.WriteString(w, "version: 1\n\n"); err != nil {
		return err
	}
	err := l.Read(ctx, func(tx *ledger.Tx) error {
		for _, base := range bases {
			err := r.Subtree(tx, base, func(e *directory.Entry) error {
				bar.add(1)
				return directory.WriteLDIF(w, e)
			})
			if err != nil {
				return fmt.Errorf("exporting %s: %w", base, err)
			}
		}
		return nil
	})
	bar.finish()
	if err != nil {
		return err
	}
	return w.Flush()
}
