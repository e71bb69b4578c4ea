package main

import "github.com/spf13/cobra"

func backupCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "backup FILE", Short: "Back up", Example: "  cardinal backup FILE",
		RunE: func(*cobra.Command, []string) error { return wrong("backup", errNotBuilt) }}
}
