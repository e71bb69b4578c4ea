package main

import "github.com/spf13/cobra"

func migrateCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "migrate", Short: "Migrate the ledger", Example: "  cardinal migrate",
		RunE: func(*cobra.Command, []string) error { return wrong("migrate", errNotBuilt) }}
}
