package main

import "github.com/spf13/cobra"

func restoreCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "restore FILE", Short: "Restore", Example: "  cardinal restore FILE",
		RunE: func(*cobra.Command, []string) error { return wrong("restore", errNotBuilt) }}
}
