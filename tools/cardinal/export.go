package main

import "github.com/spf13/cobra"

func exportCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "export", Short: "Write LDIF", Example: "  cardinal export",
		RunE: func(*cobra.Command, []string) error { return wrong("export", errNotBuilt) }}
}
